"""For the tests of every package."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from manifest_schema import schema_problems, written_manifests
from uploader_command import Uploader


@pytest.fixture(autouse=True, scope="session")
def own_pace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """How long a run of a test takes is no measurement that a user should be shown."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPLOADER_PACE", str(tmp_path_factory.mktemp("pace") / "pace.json"))
        # Nor is what was proved of a model of a test the user's; in a session it is proved once.
        patch.setenv("UPLOADER_LOAD_PROOFS", str(tmp_path_factory.mktemp("load_proofs")))
        # Its documents would be a part of every release of every test; those that are about them
        # take this away.
        patch.setenv("UPLOADER_DISABLE", "provenance")
        yield


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Processes of tests hear Ctrl-C, also where the tests run in the background of a shell."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def manifests_are_what_the_schema_says(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test released, its manifest has nothing that its schema does not describe."""
    yield
    folder = request.node.funcargs.get("tmp_path") if hasattr(request.node, "funcargs") else None
    for path in written_manifests(folder) if folder is not None else ():
        try:
            manifest = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):  # a test damaged it, or what it left removed it
            continue
        if "steps" in manifest:  # not made up by a test
            assert schema_problems(manifest) == [], path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the import path of this process and of its workers."""
    folder = tmp_path / "site"
    folder.mkdir()
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    # The next test may have a plugin of the same name.
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Callable[..., None]:
    """Put a distribution into the site: modules, and the entry points that name them."""

    def put(
        distribution: str,
        modules: Mapping[str, str],
        entry_points: Mapping[str, Mapping[str, str]],
        version: str = "1.0",
        requires: str = "",
    ) -> None:
        for name, source in modules.items():
            path = site.joinpath(*name.split("."))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".py").write_text(dedent(source), "utf-8")
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
            f"Summary: test plugin {distribution}\n"
            + (f"Requires-Dist: {requires}\n" if requires else ""),
            "utf-8",
        )
        lines = []
        for group, points in entry_points.items():
            lines.append(f"[uploader_core.{group}]")
            lines += [f"{name} = {module}" for name, module in points.items()]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")

    return put


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which nothing is."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture
def uploader(tmp_path: Path) -> Uploader:
    """The command, in a process of its own."""
    return Uploader(tmp_path)
