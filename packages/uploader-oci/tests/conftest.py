"""Registries on this machine, and logins that nobody else's files interfere with."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bad_line import BadLine
from oci_tools import RELEASE
from uploader_core.plugin import (
    Artifact,
    OutputFolder,
    PlanContext,
    Receipt,
    StepContext,
    UploadFile,
)
from uploader_oci.loopback import HOW_TO_GET, LoopbackRegistry, is_available, loopback_registry
from uploader_oci.registry.blob import Blob
from uploader_oci.settings import Settings


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the logins of whoever runs the tests out of them."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",
                 "DOCKER_AUTH_CONFIG", "OCI_ENDPOINT"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the pauses between attempts short."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.002)))


def _registry(auth: str) -> Iterator[LoopbackRegistry]:
    if not is_available():
        pytest.skip(HOW_TO_GET)
    with loopback_registry(auth=auth) as server:
        yield server


@pytest.fixture(scope="session")
def open_registry() -> Iterator[LoopbackRegistry]:
    """A registry for everybody; tests take repositories of their own."""
    yield from _registry("none")


@pytest.fixture(scope="session")
def basic_registry() -> Iterator[LoopbackRegistry]:
    """A registry with a password."""
    yield from _registry("basic")


@pytest.fixture
def token_registry() -> Iterator[LoopbackRegistry]:
    """A registry with a server of tokens."""
    yield from _registry("token")


@pytest.fixture
def line(open_registry: LoopbackRegistry) -> Iterator[BadLine]:
    """A bad line to the open registry."""
    with BadLine(open_registry.url).running() as proxy:
        yield proxy


@pytest.fixture
def make_blob(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Blob]:
    """Write a file that no other test has, and return it as a blob."""

    def make(size: int, label: str = "model.gguf") -> Blob:
        content = random.Random(f"{request.node.nodeid}{label}").randbytes(size)
        path = tmp_path / label
        path.write_bytes(content)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return Blob(digest=digest, size=size, label=label, path=path)

    return make


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository that no other test has."""
    return f"team/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"


@pytest.fixture
def make_files(tmp_path: Path) -> Callable[..., list[UploadFile]]:
    """Write files of a release: content by name, and the role by the name."""

    def make(contents: dict[str, bytes], kind: str = "merged-16bit") -> list[UploadFile]:
        files = []
        for name, content in contents.items():
            path = tmp_path / "release" / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            files.append(
                UploadFile(
                    name=name,
                    path=path,
                    size=len(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                    role=role_of(name),
                    kind="document" if name == "upload_manifest.json" else kind,
                )
            )
        return files

    return make


def role_of(name: str) -> str:
    last = name.rpartition("/")[2]
    if last.endswith((".safetensors", ".gguf")):
        return "weights"
    if last in ("README.md", "upload_manifest.json"):
        return "document"
    return "licence" if last.startswith("LICENSE") else "config"


@pytest.fixture
def push(tmp_path: Path) -> Callable[..., Receipt]:
    """Run the upload step; keywords are settings but for those of the context."""

    def run(
        target: str,
        files: list[UploadFile],
        *,
        metadata: dict[str, Any] | None = None,
        secrets: dict[str, str] | None = None,
        targets: tuple[str, ...] = (),
        on_progress: Callable[..., None] = lambda *_: None,
        **settings: Any,
    ) -> Receipt:
        from uploader_oci.publishing.publish import upload

        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        kinds = dict.fromkeys(f.kind for f in files if f.kind != "document")
        context = StepContext(
            step="oci:push",
            inputs=tuple(Artifact(kind=k, path=work, metadata=metadata or {}) for k in kinds),
            settings=Settings(**settings),
            release=RELEASE,
            output=OutputFolder(tmp_path / "none", work),
            work=work,
            state=tmp_path / "state",
            target=target,
            targets=targets or (target,),
            destination=f"oci:{target}",
            files=tuple(files),
            secrets=secrets or {},
            on_progress=on_progress,
        )
        return upload(context)

    return run


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., list[Any]]:
    """Run the preflight; keywords are settings but for those of the context."""

    def run(
        target: str,
        names: tuple[tuple[str, int], ...] = (("model.safetensors", 10),),
        kind: str = "merged-16bit",
        secrets: dict[str, str] | None = None,
        files: tuple[str, ...] = (),
        about_all: tuple[str, ...] = (),
        **settings: Any,
    ) -> list[Any]:
        from uploader_oci.publishing.check import check as preflight

        context = PlanContext(
            # As in a run: the card is an input too.
            inputs=(
                *(Artifact(kind=one, path=tmp_path) for one in (kind, "document")),
                *(
                    Artifact(kind="document", path=tmp_path / "places" / "x", producer=step)
                    for step in about_all
                ),
            ),
            settings=Settings(**settings),
            release=RELEASE,
            output=tmp_path,
            target=target,
            names={kind: names},
            files=files or tuple(name for name, _ in names),
            secrets=secrets or {},
        )
        return list(preflight(context))

    return run
