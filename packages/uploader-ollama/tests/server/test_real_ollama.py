"""A real Ollama, where one answers at OLLAMA_HOST or is on the PATH; most machines have none."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_files import step, upload_file
from uploader_core.plugin import TemporaryError
from uploader_ollama.server.address import read_address
from uploader_ollama.server.client import Client
from uploader_ollama.server.create import upload
from uploader_ollama.settings import ServerSettings

NAME = "uploader-test-tiny"


def answers(host: str) -> bool:
    try:
        with Client(read_address({"OLLAMA_HOST": host}), timeout=2.0) as client:
            client.version()
    except TemporaryError:
        return False
    return True


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that runs, or that is started with a store of its own."""
    given = os.environ.get("OLLAMA_HOST", "")
    if given and answers(given):
        yield given
        return
    program = shutil.which("ollama")
    if program is None:
        pytest.skip("no Ollama answers at OLLAMA_HOST and none is on the PATH")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        started = f"127.0.0.1:{probe.getsockname()[1]}"
    home = tmp_path_factory.mktemp("ollama")
    environment = {**os.environ, "OLLAMA_HOST": started, "OLLAMA_MODELS": str(home)}
    process = subprocess.Popen([program, "serve"], env=environment)
    try:
        until = time.monotonic() + 30
        while not answers(started) and time.monotonic() < until:
            assert process.poll() is None
        yield started
    finally:
        process.terminate()
        process.wait()


def test_a_real_ollama_has_the_model_with_its_own_template(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Ollama validates what it gets, so it has to be a model that llama.cpp loads.
    import torch

    from gguf_llamas import byte_level_tokenizer, llama
    from gguf_oracles import convert

    base = llama(tmp_path / "Tiny", hidden=96, dtype=torch.float32, tokenizer=byte_level_tokenizer)
    files = [upload_file(path) for path in convert(base, tmp_path / "r", ("F16",)).values()]
    monkeypatch.setenv("OLLAMA_HOST", host)
    receipt = upload(step(NAME, files, ServerSettings(), tmp_path / "work"))
    with Client(read_address({"OLLAMA_HOST": host}), timeout=10.0) as client:
        try:
            assert receipt.metadata["models"] == {
                f"{NAME}:latest": client.models()[f"{NAME}:latest"]
            }
        finally:
            client.delete(NAME)
