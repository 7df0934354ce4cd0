"""Discovery, loading and containment of plugins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader_core.errors import PluginBrokenError, PluginNotInstalledError
from uploader_core.plugins.entry_points import Entry
from uploader_core.plugins.registry import Registry

GOOD = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="x", summary="x", consumes=("adapter",), produces="acme.x", run="a.b:c")
"""


def broken(body: str) -> str:
    return "from uploader_core.plugin import *\nfrom uploader_core.plugin import hookimpl\n" + body


BROKEN = {
    "raises": ("raise ImportError('no libfoo')", "no libfoo"),
    "leaves": ("raise SystemExit(1)", "SystemExit"),
    "unknown-hook": (
        broken("@hookimpl\ndef uploader_savrs():\n    return []\n"),
        "uploader_savrs",
    ),
    "wrong-type": (
        broken("@hookimpl\ndef uploader_savers():\n    return ['lora']\n"),
        "expected SaveSpec",
    ),
    "fails-late": (
        broken("@hookimpl\ndef uploader_savers():\n    yield 1/0\n"),
        "ZeroDivisionError",
    ),
    "bad-run": (
        broken(
            "@hookimpl\ndef uploader_savers():\n    yield SaveSpec(name='x', summary='x', "
            "consumes=('adapter',), produces='x', run='not dotted')\n"
        ),
        "package.module:name",
    ),
    "bad-still-there": (
        broken(
            "@hookimpl\ndef uploader_uploaders():\n    yield UploadSpec(name='x', summary='x', "
            "scheme='x', run='a.b:c', still_there='not dotted')\n"
        ),
        "still_there='not dotted'",
    ),
    "future-api": ("uploader_api = 99\n" + GOOD, "API version 99"),
}


TWO_SETTINGS = """
from dataclasses import dataclass
from uploader_core.plugin import SaveSpec, hookimpl, setting

@dataclass(frozen=True, kw_only=True, slots=True)
class One:
    size: str = setting("5GB", help="largest file")

@dataclass(frozen=True, kw_only=True, slots=True)
class Two:
    size: str = setting("{default}", help="largest file")

@hookimpl
def uploader_savers():
    for name, settings in (("one", One), ("two", Two)):
        yield SaveSpec(name=name, summary=name, consumes=("adapter",), produces=f"acme.{{name}}",
                       run="a.b:c", settings=settings)
"""


@pytest.fixture
def entry(install: Callable[..., None]) -> Callable[[str, str], Entry]:
    def make(name: str, source: str) -> Entry:
        module = f"plug_{name.replace('-', '_')}"
        install(f"acme-{name}", {module: source}, {"plugins": {name: module}})
        return Entry(
            group="uploader_core.plugins",
            name=name,
            module=module,
            distribution=f"acme-{name}",
            version="1.0",
        )

    return make


@pytest.mark.parametrize("case", BROKEN)
def test_broken_plugin_is_named_with_distribution_cause_and_fix(
    entry: Callable[[str, str], Entry], case: str
) -> None:
    source, cause = BROKEN[case]
    with pytest.raises(PluginBrokenError) as caught:
        Registry([entry(case, source)]).load(case)
    assert cause in caught.value.what
    assert f"acme-{case} 1.0" in (caught.value.owner or "")
    assert caught.value.next


def test_formats_of_a_plugin_may_share_a_setting_and_must_agree_on_it(
    entry: Callable[[str, str], Entry],
) -> None:
    assert Registry([entry("same", TWO_SETTINGS.format(default="5GB"))]).load("same").specs
    with pytest.raises(PluginBrokenError, match="differently"):
        Registry([entry("other", TWO_SETTINGS.format(default="1GB"))]).load("other")


def test_broken_plugin_harms_nobody_else(entry: Callable[[str, str], Entry]) -> None:
    registry = Registry([entry("good", GOOD), entry("bad", "import nothing_like_this")])
    assert [spec.name for spec in registry.load("good").specs] == ["x"]


def test_two_claims_to_one_id_name_both(entry: Callable[[str, str], Entry]) -> None:
    first = entry("twin", GOOD)
    second = Entry(
        group=first.group, name="twin", module="other", distribution="rival", version="3"
    )
    with pytest.raises(PluginBrokenError, match="claimed twice") as caught:
        Registry([first, second]).load("twin")
    assert caught.value.owner == "acme-twin 1.0 and rival 3"


def test_unknown_plugin_says_what_is_close_and_what_to_install() -> None:
    known = Entry(
        group="uploader_core.plugins", name="gguf", module="m", distribution="d", version="1"
    )
    with pytest.raises(PluginNotInstalledError) as caught:
        Registry([known]).load("ggfu")
    assert "did you mean gguf" in (caught.value.next or "")
    assert "pip install uploader-ggfu" in (caught.value.next or "")


def test_disabled_plugin_is_not_imported(entry: Callable[[str, str], Entry]) -> None:
    registry = Registry(
        [entry("off", "raise AssertionError('imported')")], disabled={"off": "--without"}
    )
    with pytest.raises(PluginBrokenError, match="disabled"):
        registry.load("off")


def test_listing_imports_no_plugin(install: Callable[..., None], uploader: Any) -> None:
    install("acme-bomb", {"bomb": "raise SystemExit('imported')"}, {"plugins": {"bomb": "bomb"}})
    result = uploader("plugins", "list")
    assert result.returncode == 0
    assert "acme-bomb 1.0" in result.stdout


def test_list_check_names_the_broken_one(install: Callable[..., None], uploader: Any) -> None:
    install("acme-bomb", {"bomb": "raise ImportError('no fuse')"}, {"plugins": {"bomb": "bomb"}})
    rows = json.loads(uploader("plugins", "list", "--check", "--json").stdout)
    (row,) = [r for r in rows if r["id"] == "bomb"]
    assert "no fuse" in row["state"]
    assert "acme-bomb 1.0" in row["owner"]
    assert row["next"]


@pytest.mark.usefixtures("notes_plugin")
def test_broken_neighbours_do_not_disturb_a_run(
    install: Callable[..., None], uploader: Any, adapter: Path
) -> None:
    install("acme-bomb", {"bomb": "raise SystemExit(9)"}, {"plugins": {"bomb": "bomb"}})
    assert uploader("run", adapter, "--plugins", "notes").returncode == 0
    result = uploader("run", adapter, "--plugins", "bomb")
    assert result.returncode == 8
    assert "acme-bomb 1.0" in result.stderr


def modules_after(code: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", code + "\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.splitlines()[-1].split())  # before it is what the code prints


HEAVY = {"torch", "transformers", "huggingface_hub", "gguf", "peft"}


def test_help_imports_neither_plugins_nor_pluggy(install: Callable[..., None]) -> None:
    install("acme-bomb", {"bomb": "raise SystemExit(9)"}, {"plugins": {"bomb": "bomb"}})
    loaded = modules_after("from uploader_core.cli import main\nmain(['--help'])")
    assert not loaded & {*HEAVY, "pluggy", "bomb", "importlib_metadata", "rich"}


def test_author_surface_is_light() -> None:
    loaded = modules_after("import uploader_core.plugin")
    assert not loaded & {*HEAVY, "click", "rich", "numpy"}


@pytest.mark.usefixtures("notes_plugin")
def test_run_help_shows_the_options_of_named_plugins(uploader: Any) -> None:
    text = uploader("run", "--plugins", "notes", "--help").stdout
    assert "--notes-text" in text
    assert "what the note says" in text
    assert "--notes-text" not in uploader("run", "--help").stdout


@pytest.mark.usefixtures("notes_plugin")
def test_option_of_a_plugin_not_named_says_so(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--to", "dir:x", "--notes-text", "hi")
    assert result.returncode == 2
    assert "add notes to --plugins" in result.stderr


@pytest.mark.usefixtures("notes_plugin")
def test_wrong_choice_names_close_matches(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "notes", "--notes-mode", "rase")
    assert result.returncode == 2
    assert "did you mean raise" in result.stderr


@pytest.mark.usefixtures("notes_plugin")
def test_unknown_key_in_the_settings_file_is_refused(uploader: Any, adapter: Path) -> None:
    (uploader.cwd / "uploader.toml").write_text('[notes]\ntxt = "x"\n')
    result = uploader("run", adapter, "--plugins", "notes")
    assert result.returncode == 2
    assert "did you mean text" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_calls_uploader(uploader: Any, shell: str) -> None:
    result = uploader("completion", shell)
    assert result.returncode == 0, result.stderr
    assert "_UPLOADER_COMPLETE" in result.stdout
