"""A server of S3 on this machine, models in it, and steps that send to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from line_filesystem import LineFileSystem
from stored_model import MODEL
from uploader_core.plugin import (
    Artifact,
    FetchedSource,
    Finding,
    OutputFolder,
    PlanContext,
    Receipt,
    ReleaseInfo,
    SourceContext,
    StepContext,
    UploadFile,
)
from uploader_fsspec.fetching.cache import VARIABLE
from uploader_fsspec.loopback import LoopbackS3, loopback_s3
from uploader_fsspec.settings import Settings
from uploader_kit.proxy import FaultProxy

RELEASE = ReleaseInfo(name="m", source="adapter")
LOADS = ("x/*.safetensors",)


@pytest.fixture(scope="session")
def server() -> Iterator[LoopbackS3]:
    """A server for all tests, each of which has a bucket of its own."""
    with loopback_s3() as running:
        yield running


@pytest.fixture
def s3(server: LoopbackS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LoopbackS3:
    """The server, where every client finds it; nobody's own logins do."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def line(s3: LoopbackS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A line to the server, which is the only one that clients know."""
    with FaultProxy(s3.url).running() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def bucket(s3: LoopbackS3, request: pytest.FixtureRequest) -> str:
    """An empty bucket that no other test has."""
    return s3.make_bucket(f"b-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def wire() -> Iterator[type[LineFileSystem]]:
    """``line://``, an implementation of fsspec that knows no more than a listing."""
    import fsspec

    fsspec.register_implementation("line", LineFileSystem, clobber=True)
    LineFileSystem.forget()
    yield LineFileSystem
    LineFileSystem.forget()


@pytest.fixture
def model(s3: LoopbackS3, bucket: str) -> str:
    """The address of a model in a bucket."""
    for name, content in MODEL.items():
        s3.put(bucket, f"models/x/{name}", content)
    return f"s3://{bucket}/models/x"


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., FetchedSource]:
    """Fetch a source; with ``outline`` as a plan does."""

    def run(address: str, *, outline: bool = False, **more: Any) -> FetchedSource:
        from uploader_fsspec.fetching.source import fetch as fetch_source

        folder = tmp_path / "outline"
        folder.mkdir(exist_ok=True)
        return fetch_source(
            SourceContext(
                **{"reference": address, "purpose": "source", **more},
                outline=folder if outline else None,
            )
        )

    return run


@pytest.fixture
def make_files(tmp_path: Path) -> Callable[[Mapping[str, bytes]], tuple[UploadFile, ...]]:
    """Write a release with its manifest."""

    def make(contents: Mapping[str, bytes]) -> tuple[UploadFile, ...]:
        listed = [
            {"path": n, "size": len(c), "sha256": hashlib.sha256(c).hexdigest()}
            for n, c in contents.items()
        ]
        kinds = sorted({name.partition("/")[0] for name in contents if "/" in name})
        manifest = json.dumps(
            {"schema": "uploader.manifest/1", "files": listed, "loads": LOADS,
             "artifacts": [{"kind": kind} for kind in kinds]}
        ).encode()  # fmt: skip
        files = []
        for name, content in {**contents, "upload_manifest.json": manifest}.items():
            path = tmp_path / "release" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            document = name.endswith((".md", "upload_manifest.json"))
            files.append(
                UploadFile(
                    name=name,
                    path=path,
                    size=len(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                    role="document" if document else "weights",
                    kind="document" if document else name.partition("/")[0],
                )
            )
        return tuple(files)

    return make


@pytest.fixture
def push(tmp_path: Path, make_files: Callable[..., Any]) -> Callable[..., Receipt]:
    """Run the upload step on a release; keywords are settings but for those of the context."""

    def run(
        target: str,
        contents: Mapping[str, bytes],
        *,
        on_progress: Callable[..., None] = lambda *_: None,
        **settings: Any,
    ) -> Receipt:
        from uploader_fsspec.publishing.publish import upload

        files = make_files(contents)
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return upload(
            StepContext(
                step="fsspec:copy",
                inputs=tuple(Artifact(kind=k, path=work) for k in {f.kind for f in files}),
                settings=Settings(**settings),
                release=RELEASE,
                output=OutputFolder(tmp_path / "none", work),
                work=work,
                target=target,
                destination=f"dir:{target}",
                files=files,
                loads=LOADS,
                on_progress=on_progress,
            )
        )

    return run


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., list[Finding]]:
    """Run the preflight."""

    def run(target: str, files: tuple[str, ...] = (), **settings: Any) -> list[Finding]:
        from uploader_fsspec.publishing.check import check as preflight

        context = PlanContext(
            inputs=(Artifact(kind="x", path=tmp_path),),
            settings=Settings(**settings),
            release=RELEASE,
            output=tmp_path,
            target=target,
            files=files,
            loads=LOADS,
        )
        return list(preflight(context))

    return run
