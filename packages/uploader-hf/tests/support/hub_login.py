"""A Hub on this machine, and a process that is logged in there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import LoopbackHub


def log_in(server: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point this process at a Hub, as ``me``."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    # A worker has the variable before it imports the client; this process had not.
    where = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
    for module in ("constants", "file_download"):  # 0.36 keeps a second reference to it
        name = f"huggingface_hub.{module}.HUGGINGFACE_CO_URL_TEMPLATE"
        monkeypatch.setattr(name, where, raising=False)
    monkeypatch.setenv("HF_TOKEN", server.token("me"))


@contextlib.contextmanager
def logged_in_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub that takes objects above 1 MB in parts; the process is logged in as ``me``."""
    monkeypatch.setenv("HF_HOME", str(folder / "hf-home"))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with LoopbackHub(folder / "hub", part_size=1 << 20, page_size=3) as server:
        log_in(server, monkeypatch)
        yield server


def client_of(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The unmodified client, logged in as ``me``; it does not find out by itself about Xet."""
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    return HfApi(endpoint=hub.url, token=os.environ["HF_TOKEN"])
