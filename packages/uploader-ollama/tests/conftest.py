"""An Ollama on this machine, and upload steps against it as core makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ollama_files import step
from ollama_server import LoopbackOllama
from uploader_core.plugin import Receipt, UploadFile
from uploader_ollama.server.create import upload as upload_step
from uploader_ollama.settings import ServerSettings


@pytest.fixture
def ollama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackOllama]:
    with LoopbackOllama(folder=tmp_path / "ollama").running() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        yield server


@pytest.fixture
def upload(ollama: LoopbackOllama, tmp_path: Path) -> Callable[..., Receipt]:
    """Run the upload step; keywords are settings."""

    def run(target: str, files: Sequence[UploadFile], **settings: Any) -> Receipt:
        inputs = settings.pop("inputs", None)
        context = step(target, files, ServerSettings(**settings), tmp_path / "work", inputs=inputs)
        return upload_step(context)

    return run
