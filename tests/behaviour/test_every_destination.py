"""Everything is installed and nothing is said: the default formats arrive at every destination.

Other tests do without the documents of uploader-provenance, which nobody else has to.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ollama_server import LoopbackOllama
from uploader_fsspec.loopback import loopback_s3
from uploader_oci.loopback import is_available, loopback_registry


@pytest.fixture
def places(hub: Any, uploader: Any, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """One of every destination that there is; a registry where there is the program."""
    del hub  # its variables are what is needed
    uploader.environment["UPLOADER_DISABLE"] = ""
    with contextlib.ExitStack() as servers:
        ollama = servers.enter_context(
            LoopbackOllama(folder=tmp_path / "ollama", copies=True).running()
        )
        store = servers.enter_context(loopback_s3())
        store.make_bucket("models")
        uploader.environment |= {"OLLAMA_HOST": ollama.url, **store.environment}
        found = ["dir:copy", "dir:s3://models/tiny", "hf:me/tiny", "ollama:tiny"]
        if is_available():
            registry = servers.enter_context(loopback_registry(auth="none"))
            found += [
                f"oci:{registry.host}/me/tiny:v1",
                f"ollama-registry:{registry.host}/me/tiny-ollama:v1",
            ]
        yield tuple(found)


def test_it_arrives_and_is_what_it_was(
    uploader: Any, fine_tune: Path, places: tuple[str, ...]
) -> None:
    to = [part for place in places for part in ("--to", place)]
    options = ("--output", "release", "--name", "tiny", "--yes")
    made = uploader("run", fine_tune, "--plugins", "lora,gguf", *options, *to)
    assert made.returncode == 0, made.stderr
    # On the Hub each format has a repository, and a running Ollama gives no files back.
    asked = {*places, "hf:me/tiny-LoRA", "hf:me/tiny-GGUF"} - {"hf:me/tiny", "ollama:tiny"}
    for place in sorted(asked):
        seen = uploader("verify", place)
        assert seen.returncode == 0, f"{place}: {seen.stdout}{seen.stderr}"
    again = uploader("run", fine_tune, "--plugins", "lora,gguf", *options, *to)
    assert again.returncode == 0, again.stderr
    assert "0 kept" not in again.stdout
    assert [*(uploader.cwd / "release").rglob("ml-bom.cdx.json")]
    assert os.path.exists(uploader.cwd / "copy" / "SHA256SUMS")
