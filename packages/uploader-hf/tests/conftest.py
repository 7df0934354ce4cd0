"""A Hub on this machine, and upload steps against it as core makes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_tools import RELEASE
from hub_login import client_of, logged_in_hub
from loopback_hub import LoopbackHub
from uploader_core.plugin import (
    Artifact,
    OutputFolder,
    PlanContext,
    Receipt,
    StepContext,
    UploadFile,
)
from uploader_hf.settings import HubSettings


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    with logged_in_hub(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def api(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> Any:
    return client_of(hub, monkeypatch)


@pytest.fixture
def release(tmp_path: Path) -> list[UploadFile]:
    """Four files: weights in parts, small weights, a configuration and a card."""
    contents = {
        "model-00001.safetensors": (os.urandom(2_500_000), "weights"),
        "model-00002.safetensors": (b"small", "weights"),
        "config.json": (b'{"a": 1}', "config"),
        "README.md": (b"---\ntags:\n- x\n---\n# hi\n", "document"),
    }
    files = []
    for name, (content, role) in contents.items():
        path = tmp_path / "release" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(
            UploadFile(name=name, path=path, size=len(content), sha256=digest, role=role, kind="x")
        )
    return files


@pytest.fixture
def upload(hub: LoopbackHub, tmp_path: Path, release: list[UploadFile]) -> Callable[..., Receipt]:
    """Run the upload step; keywords are settings."""

    def run(
        target: str = "me/tiny",
        files: list[UploadFile] | None = None,
        on_progress: Callable[..., None] = lambda *_: None,
        on_cancelled: Callable[[], bool] = lambda: False,
        targets: tuple[str, ...] = (),
        destination: str | None = None,
        loads: tuple[str, ...] = (),
        **settings: Any,
    ) -> Receipt:
        from uploader_hf.publishing.publish import upload as step

        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        context = StepContext(
            step="hf:upload",
            inputs=(),
            settings=HubSettings(**settings),
            release=RELEASE,
            output=OutputFolder(tmp_path / "none", work),
            work=work,
            target=target,
            destination=destination or f"hf:{target}",
            targets=targets or (target,),
            files=tuple(files if files is not None else release),
            loads=loads,
            secrets={"HF_TOKEN": os.environ["HF_TOKEN"]},
            on_progress=on_progress,
            on_cancelled=on_cancelled,
        )
        return step(context)

    return run


@pytest.fixture
def plan_context() -> Callable[..., PlanContext]:
    """What a preflight is given; keywords are settings but for ``sizes`` and ``names``."""

    def make(
        target: str = "me/tiny",
        sizes: Any = (),
        names: Any = (),
        files: tuple[str, ...] = (),
        loads: tuple[str, ...] = (),
        **settings: Any,
    ) -> Any:
        kinds = dict(sizes) | dict(names)
        return PlanContext(
            inputs=tuple(Artifact(kind=kind, path=Path()) for kind in kinds),
            settings=HubSettings(**settings),
            release=RELEASE,
            output=Path(),
            target=target,
            sizes=dict(sizes),
            names=dict(names),
            files=files,
            loads=loads,
        )

    return make


@pytest.fixture
def check(plan_context: Callable[..., PlanContext]) -> Callable[..., list[str]]:
    """Run the preflight; keywords are settings. Returns what it found."""

    def run(target: str = "me/tiny", **settings: Any) -> list[str]:
        from uploader_hf.publishing.check import check as preflight

        context = plan_context(target, **settings)
        return [finding.what for finding in preflight(context)]

    return run
