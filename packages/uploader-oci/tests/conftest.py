"""Registries on this machine, and logins that nobody else's files interfere with."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bad_line import BadLine
from uploader_oci.loopback import HOW_TO_GET, LoopbackRegistry, is_available, loopback_registry
from uploader_oci.registry.blob import Blob


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
