"""The conformance kit without pytest: ``uploader plugins check``.

A plugin's id, or the folder of its distribution. For a folder, the classes of its ``tests`` are
run; for an id, classes are made on the spot for every spec, which leaves out destinations: only
their authors know a server to try them against.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import time
import traceback
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uploader_core.contract.specs import ConvertSpec, DocumentSpec, SaveSpec, UploadSpec
from uploader_core.errors import PluginNotInstalledError, UploaderError, UsageError
from uploader_core.plugins.entry_points import PLUGINS
from uploader_core.plugins.registry import Registry
from uploader_core.user_config.files import read_toml
from uploader_kit.conformance import PluginConformance
from uploader_kit.documenting import DocumentConformance
from uploader_kit.making import ConvertConformance, SaveConformance


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one check came to.

    Attributes:
        subject: Class that it belongs to.
        check: What was checked, in words.
        outcome: ``skipped`` and ``expected`` (a failure that the author announced) are no failures.
        why: For everything but ``passed``.
        seconds: Wall time.
    """

    subject: str
    check: str
    outcome: Literal["passed", "failed", "skipped", "expected"]
    why: str = ""
    seconds: float = 0.0


def classes_for(subject: str, registry: Registry) -> tuple[type[PluginConformance], ...]:
    """Return the classes to run for a plugin id or a project's folder.

    Raises:
        UsageError: A folder without tests on the kit.
        PluginNotInstalledError: The folder's distribution is not installed.
    """
    folder = Path(subject)
    if (folder / "pyproject.toml").is_file():
        return tuple(_classes_in(folder, registry))
    return tuple(_classes_of(subject, registry))


def run(
    classes: tuple[type[PluginConformance], ...], tell: Callable[[Verdict], None]
) -> list[Verdict]:
    """Run every check of some classes and say what came of each."""
    verdicts = []
    for verdict in (verdict for cls in classes for verdict in _verdicts(cls)):
        tell(verdict)
        verdicts.append(verdict)
    return verdicts


def _verdicts(cls: type[PluginConformance]) -> Iterator[Verdict]:
    broken = _around(cls, "set up", cls.setup_class)
    if broken is not None:
        yield broken
        return
    try:
        for name in (n for n in dir(cls) if n.startswith("test_")):
            yield _one(cls, name)
    finally:  # also when Ctrl-C ends it
        broken = _around(cls, "tear down", cls.teardown_class)
    if broken is not None:
        yield broken


def _around(cls: type[PluginConformance], what: str, call: Callable[[], None]) -> Verdict | None:
    """Return a verdict where an author's own preparation fails, so that other classes still run."""
    try:
        call()
    except Exception as error:
        return Verdict(subject=cls.__name__, check=what, outcome="failed", why=_why(error))
    return None


def _one(cls: type[PluginConformance], name: str) -> Verdict:
    check = name.removeprefix("test_").replace("_", " ")
    started = time.monotonic()
    announced = [
        mark.kwargs.get("reason", "")
        for mark in getattr(getattr(cls, name), "pytestmark", [])
        if mark.name == "xfail"
    ]
    outcome: Literal["passed", "failed", "skipped", "expected"] = "passed"
    why = ""
    try:
        test = getattr(cls(), name)
        if inspect.signature(test).parameters:
            raise unittest.SkipTest("it takes fixtures of pytest: run pytest")
        test()
    except unittest.SkipTest as reason:
        outcome, why = "skipped", str(reason)
    except Exception as error:
        outcome, why = "failed", _why(error)
    except BaseException as reason:
        # pytest.skip() in an author's own test; pytest itself is not needed here.
        outcomes = "_pytest.outcomes" in {base.__module__ for base in type(reason).__mro__}
        if not outcomes or type(reason).__name__ != "Skipped":
            raise
        outcome, why = "skipped", str(reason)
    if outcome == "failed" and announced:
        outcome, why = "expected", announced[0]
    seconds = time.monotonic() - started
    return Verdict(subject=cls.__name__, check=check, outcome=outcome, why=why, seconds=seconds)


def _why(error: Exception) -> str:
    if isinstance(error, UploaderError):
        return str(error) + "".join(f" ({part})" for part in (error.owner, error.next) if part)
    if isinstance(error, (AssertionError, LookupError)):
        return str(error)
    return "".join(traceback.format_exception(error))


def _classes_of(plugin_id: str, registry: Registry) -> Iterator[type[PluginConformance]]:
    kinds = {
        SaveSpec: SaveConformance,
        ConvertSpec: ConvertConformance,
        DocumentSpec: DocumentConformance,
    }
    yielded = False
    for spec in registry.load(plugin_id).specs:
        base = kinds.get(type(spec))
        if base is not None:
            yielded = True
            yield type(spec.name, (base,), {"plugin": plugin_id, "spec": spec.name})
        elif isinstance(spec, UploadSpec):
            yield type(spec.name, (PluginConformance,), {"plugin": plugin_id})
            yielded = True
    if not yielded:
        yield type(plugin_id, (PluginConformance,), {"plugin": plugin_id})


def _classes_in(folder: Path, registry: Registry) -> Iterator[type[PluginConformance]]:
    name = _project_name(folder)
    if not any(e.group == PLUGINS and _same(e.distribution, name) for e in registry.entries):
        raise PluginNotInstalledError(
            f"{name} is not installed here, or declares no plugin",
            owner=str(folder / "pyproject.toml"),
            next=f"pip install -e {folder}",
        )
    found = False
    for path in sorted((folder / "tests").glob("test_*.py")):
        for cls in _classes_of_module(path):
            found = True
            yield cls
    if not found:
        raise UsageError(
            f"{folder / 'tests'} has no class of the conformance kit",
            next="see uploader_kit, or check the installed plugin by its id",
        )


def _classes_of_module(path: Path) -> Iterator[type[PluginConformance]]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    for value in vars(module).values():
        is_class = isinstance(value, type) and issubclass(value, PluginConformance)
        if is_class and value.__module__ == path.stem:
            yield value


def _project_name(folder: Path) -> str:
    data = read_toml(folder / "pyproject.toml")
    return str(data.get("project", {}).get("name", folder.name))


def _same(left: str, right: str) -> bool:
    from packaging.utils import canonicalize_name

    return canonicalize_name(left) == canonicalize_name(right)
