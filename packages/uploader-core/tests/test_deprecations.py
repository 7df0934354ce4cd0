"""What goes is announced: a warning with the way out, then an error, then it is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from uploader_core import plugin
from uploader_core.contract.specs import SaveSpec
from uploader_core.deprecations import (
    Announcement,
    UploaderDeprecationWarning,
    announce,
    public_name,
)
from uploader_core.errors import PluginBrokenError
from uploader_core.machine.file_calls import sync_folder

FIELD = Announcement(
    name="SaveSpec.use", since="1.4", error_in="2.0", instead="say it in a section"
)
HOOK = Announcement(
    name="uploader_old_hook", since="1.4", error_in="2.0", instead="use uploader_savers"
)
KIND = Announcement(name="kind adapter", since="1.4", error_in="2.0", instead="consume lora")
NAME = Announcement(
    name="plugin.sync_folder",
    since="1.4",
    error_in="2.0",
    instead="write through context.output",
    module="uploader_core.machine.file_calls",
)


def tell(version: str, *, use: str | None = None, hook: bool = False) -> None:
    module = ModuleType("acme")
    if hook:
        module.uploader_old_hook = lambda: ()  # type: ignore[attr-defined]
    spec = SaveSpec(name="s", summary="s", consumes=("adapter",), produces="a", run="a:b", use=use)
    announce("acme", "acme-x 1.0", module, [spec], version=version, announced=(FIELD, HOOK))


def test_nothing_is_said_of_what_stays(recwarn: pytest.WarningsRecorder) -> None:
    tell("1.9")
    assert not recwarn


@pytest.mark.parametrize(
    ("used", "name"), [({"use": "a:b"}, FIELD), ({"hook": True}, HOOK)], ids=["field", "hook"]
)
def test_first_a_warning_then_an_error(used: dict[str, Any], name: Announcement) -> None:
    with pytest.warns(UploaderDeprecationWarning, match=name.instead) as told:
        tell("1.4", **used)
    assert "acme-x 1.0" in str(told[0].message)
    assert "an error in 2.0" in str(told[0].message)
    with pytest.raises(PluginBrokenError, match=name.name) as refused:
        tell("2.0", **used)
    assert refused.value.owner == "acme-x 1.0"
    assert name.instead in str(refused.value.next)


def test_a_kind_that_goes() -> None:
    spec = SaveSpec(name="s", summary="s", consumes=("adapter",), produces="a", run="a:b")
    with pytest.warns(UploaderDeprecationWarning, match="uses kind adapter.*consume lora"):
        announce("acme", "acme-x 1.0", ModuleType("a"), [spec], version="1.4", announced=(KIND,))


def test_a_name_that_plugins_import() -> None:
    with pytest.warns(UploaderDeprecationWarning, match="write through context.output"):
        found = public_name("sync_folder", version="1.4", announced=(NAME,))
    assert found is sync_folder
    with pytest.raises(ImportError, match="write through context.output"):
        public_name("sync_folder", version="2.0", announced=(NAME,))


def test_a_name_that_never_was() -> None:
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from uploader_core.plugin import nonsense")
    assert not hasattr(plugin, "nonsense")


def test_a_loaded_plugin_is_looked_at(
    install: Callable[..., None], adapter: Path, site: Path
) -> None:
    """The whole way, with a core in which a field was announced."""
    install(
        "acme-old",
        {
            "old_plugin": """
            from uploader_core.plugin import SaveSpec, hookimpl

            @hookimpl
            def uploader_savers():
                yield SaveSpec(name="old", summary="old", consumes=("adapter",),
                               produces="acme.old", run="old_work:run", use="old_work:use")
            """
        },
        {"plugins": {"old": "old_plugin"}},
    )
    code = f"""
import sys
from uploader_core import deprecations
line = deprecations.Announcement(name="SaveSpec.use", since="0.1", error_in="99", instead="do this")
deprecations.announce.__kwdefaults__["announced"] = (line,)
from uploader_core.cli import main
sys.exit(main(["plan", {str(adapter)!r}, "--plugins", "old"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "plugin 'old' uses SaveSpec.use" in done.stderr
    assert "do this" in done.stderr
