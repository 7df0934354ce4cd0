"""Every test of every package: this machine only, and nothing of the person who runs it.

Root of all test folders, so that pytest reads it before any of theirs.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

_HOME = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
# Nothing listens there. Child processes cannot be patched, but their HTTP clients ask for a proxy.
_NOWHERE = "http://127.0.0.1:9"


def pytest_configure(config: pytest.Config) -> None:
    """Forget the user's tokens, settings and caches before anything reads them."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING_FACE_", "UPLOADER_")):
            del os.environ[name]
    home = tempfile.TemporaryDirectory()
    config.stash[_HOME] = home
    os.environ.update(
        HF_HOME=home.name,
        XDG_CONFIG_HOME=home.name,  # uploader.toml of the person, plugins that they disabled
        HF_HUB_DISABLE_TELEMETRY="1",
        TOKENIZERS_PARALLELISM="false",
        HTTP_PROXY=_NOWHERE,
        HTTPS_PROXY=_NOWHERE,
        NO_PROXY="127.0.0.1,localhost",
    )
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "no_proxy"):
        os.environ.pop(name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the empty home."""
    config.stash[_HOME].cleanup()


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Fail a test that connects anywhere but to this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(connect: Any) -> Any:
    def guard(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            pytest.fail(f"a test tried to reach {address[0]}: tests use loopback only")
        return connect(self, address)

    return guard


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
