"""The conformance kit on one plugin, by pytest: ``uploader plugins check``.

A plugin's id, or the folder of its distribution. For a folder, the classes of its ``tests`` are
run; for an id, classes are made on the spot for every spec. The checks of an upload and of
an executor are skipped then: only its author knows a server, or an engine, to try it against.
"""

from __future__ import annotations

import contextlib
import tempfile
import traceback
import types
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest

from uploader_core.contract.specs import (
    ConvertSpec,
    DocumentSpec,
    ExecutorSpec,
    SaveSpec,
    UploadSpec,
)
from uploader_core.deprecations import UploaderDeprecationWarning
from uploader_core.errors import PluginNotInstalledError, UploaderError, UsageError
from uploader_core.plugins.entry_points import PLUGINS
from uploader_core.plugins.registry import Registry
from uploader_core.user_config.files import read_toml
from uploader_kit.announcing import not_tried
from uploader_kit.conformance import PluginConformance, StepConformance
from uploader_kit.destination import Destination
from uploader_kit.documenting import DocumentConformance
from uploader_kit.executing import ExecutorConformance
from uploader_kit.making import ConvertConformance, SaveConformance
from uploader_kit.rules import number_of
from uploader_kit.sending import UploadConformance

# Nothing is shown but the verdicts, and nothing is left behind; options of the author's own test
# run, such as a measured coverage, have no business here.
_OPTIONS = ("-o", "addopts=", "-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist",
            "-p", "no:cov")  # fmt: skip

Classes = tuple[type[PluginConformance], ...]
Outcome = Literal["passed", "failed", "skipped", "expected", "announced"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one check came to.

    Attributes:
        subject: Class that it belongs to.
        check: What was checked, in words.
        outcome: No failures are ``skipped``, ``expected`` (the author announced that it fails) and
            ``announced`` (it will be a failure in a later version of the kit).
        why: For everything but ``passed``.
        seconds: Wall time.
        rule: Number of the rule; "" for an author's own check.
        about: Type of the spec that the class is about, or ``plugin``.
        spec: Plugin id and name of the spec; the id alone where the class is about no spec.
    """

    subject: str
    check: str
    outcome: Outcome
    why: str = ""
    seconds: float = 0.0
    rule: str = ""
    about: str = ""
    spec: str = ""


def check(subject: str, registry: Registry, tell: Callable[[Verdict], None]) -> list[Verdict]:
    """Run the kit on a plugin id, or on a project's folder, and say what came of each check.

    Raises:
        UsageError: A folder without tests on the kit.
        PluginNotInstalledError: The folder's distribution is not installed.
    """
    folder = Path(subject)
    if not (folder / "pyproject.toml").is_file():
        return run(classes_of(subject, registry), tell)
    _check_installed(folder, registry)
    verdicts = _run(_Checks(tell), [str(folder / "tests"), "--rootdir", str(folder)])
    if not verdicts:
        raise UsageError(
            f"{folder / 'tests'} has no class of the conformance kit",
            next="see uploader_kit, or check the installed plugin by its id",
        )
    return verdicts


def run(classes: Classes, tell: Callable[[Verdict], None]) -> list[Verdict]:
    """Run every check of some classes and say what came of each."""
    with tempfile.TemporaryDirectory(prefix="uploader-kit-") as folder:
        path = Path(folder).resolve() / "test_given.py"
        path.touch()
        return _run(_Checks(tell), [str(path), "--rootdir", folder], _Given(path, classes))


def classes_of(plugin_id: str, registry: Registry) -> Classes:
    """Return the classes for the specs of an installed plugin."""
    kinds: dict[type, type[PluginConformance]] = {
        SaveSpec: SaveConformance,
        ConvertSpec: ConvertConformance,
        DocumentSpec: DocumentConformance,
        UploadSpec: _WithoutServer,
        ExecutorSpec: _WithoutEngine,
    }
    specs = [spec for spec in registry.load(plugin_id).specs if type(spec) in kinds]
    return tuple(
        type(spec.name, (kinds[type(spec)],), {"plugin": plugin_id, "spec": spec.name})
        for spec in specs
    ) or (type(plugin_id, (PluginConformance,), {"plugin": plugin_id}),)


class _WithoutServer(UploadConformance):
    """A destination that nobody gave a server for."""

    def destination(self) -> AbstractContextManager[Destination]:
        """Skip the check: there is nothing to send to."""
        _only_its_author_knows(type(self), "a server to send to")


class _WithoutEngine(ExecutorConformance):
    """An executor that nobody gave an engine for."""

    @classmethod
    def engine(cls) -> AbstractContextManager[Mapping[str, object]]:
        """Skip the check: there is nothing to run jobs."""
        _only_its_author_knows(cls, "an engine to run jobs on")


def _only_its_author_knows(
    case: PluginConformance | type[PluginConformance], what: str
) -> NoReturn:
    name = case.registry().claims(case.plugin)[0].distribution
    not_tried(
        f"only the author of {name} knows {what}; in the folder of its sources: "
        'pip install -e ".[test]" && uploader plugins check .'
    )


class _Given:
    """Lets pytest collect classes that are in no file."""

    def __init__(self, path: Path, classes: Classes) -> None:
        self._path = path
        self._module = types.ModuleType("given")
        # pytest looks for names that begin so; what is shown is the name of the class itself.
        vars(self._module).update({f"Test{n}": cls for n, cls in enumerate(classes)})

    def pytest_pycollect_makemodule(
        self, module_path: Path, parent: pytest.Collector
    ) -> pytest.Module | None:
        if module_path != self._path:
            return None
        module = pytest.Module.from_parent(parent, path=module_path)
        module.obj = self._module
        return module


class _Checks:
    """Turns what pytest reports of the kit's classes into verdicts, and leaves out other tests."""

    def __init__(self, tell: Callable[[Verdict], None]) -> None:
        self._tell = tell
        self.verdicts: list[Verdict] = []
        self._announced: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if _class_of(item) is not None]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._add(Verdict(subject=report.nodeid, check="collect", outcome="failed",
                              why=report.longreprtext))  # fmt: skip

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        with warnings.catch_warnings(record=True) as found:
            yield
        announced = [w for w in found if issubclass(w.category, UploaderDeprecationWarning)]
        self._announced = [str(warning.message) for warning in announced]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.when == "call" or not report.passed:
            self._add(_verdict(item, call, report, self._announced))
            self._announced = []
        return report

    def _add(self, verdict: Verdict) -> None:
        # A class that cannot be prepared fails with every one of its checks, and is told once.
        if any((v.subject, v.check) == (verdict.subject, verdict.check) for v in self.verdicts):
            return
        self.verdicts.append(verdict)
        self._tell(verdict)


def _run(checks: _Checks, arguments: Sequence[str], *plugins: object) -> list[Verdict]:
    """Run pytest in this process.

    Raises:
        KeyboardInterrupt: It was stopped; the classes were torn down.
        UsageError: pytest does not take the author's configuration.
    """
    code = pytest.main([*arguments, *_OPTIONS], plugins=[checks, *plugins])
    if code == pytest.ExitCode.INTERRUPTED and not any(
        verdict.check == "collect" for verdict in checks.verdicts
    ):
        raise KeyboardInterrupt
    if code in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR):
        raise UsageError(f"pytest ends with {code!r}", next="run pytest itself: it says why")
    return checks.verdicts


def _verdict(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    announced: Sequence[str],
) -> Verdict:
    cls = _class_of(item)
    assert cls is not None
    # In brackets is what it was run with: test_step_runs_in_a_worker[lazy checkpoint].
    name = item.name.removeprefix("test_").replace("_", " ").replace("[", " (").replace("]", ")")
    outcome: Outcome = report.outcome
    why = ""
    if report.failed:
        assert call.excinfo is not None
        why = _why(call.excinfo.value)
        if report.when != "call":
            name = "set up" if report.when == "setup" else "tear down"
    elif hasattr(report, "wasxfail") and report.skipped:
        outcome, why = "expected", str(report.wasxfail)
    elif report.skipped:
        reason: Any = report.longrepr
        why = str(reason[2]).removeprefix("Skipped: ")
    elif announced:
        outcome, why = "announced", "; ".join(announced)
    about, spec = _about(cls)
    return Verdict(
        subject=cls.__name__,
        check=name,
        outcome=outcome,
        why=why,
        seconds=report.duration,
        rule=number_of(getattr(item, "originalname", item.name)),
        about=about,
        spec=spec,
    )


def _about(cls: type[PluginConformance]) -> tuple[str, str]:
    """Return what a class of the kit is about: the type of its spec, and its name."""
    if not issubclass(cls, StepConformance):
        return "plugin", cls.plugin
    with contextlib.suppress(UploaderError, AssertionError):
        return cls.spec_type.__name__, f"{cls.plugin}:{cls.the_spec().name}"
    return cls.spec_type.__name__, cls.plugin  # it is told by every check of the class


def _class_of(item: pytest.Item) -> type[PluginConformance] | None:
    """Return the class of the kit that an item belongs to; None for any other test."""
    cls = getattr(item, "cls", None)
    return cls if isinstance(cls, type) and issubclass(cls, PluginConformance) else None


def _why(error: BaseException) -> str:
    if isinstance(error, UploaderError):
        return str(error) + "".join(f" ({part})" for part in (error.owner, error.next) if part)
    if isinstance(error, (AssertionError, LookupError)):
        return str(error)
    return "".join(traceback.format_exception(error))


def _check_installed(folder: Path, registry: Registry) -> None:
    from packaging.utils import canonicalize_name

    data = read_toml(folder / "pyproject.toml")
    name = str(data.get("project", {}).get("name", folder.name))
    plugins = (e.distribution for e in registry.entries if e.group == PLUGINS)
    if canonicalize_name(name) not in map(canonicalize_name, plugins):
        raise PluginNotInstalledError(
            f"{name} is not installed here, or declares no plugin",
            owner=str(folder / "pyproject.toml"),
            next=f"pip install -e {folder}",
        )
