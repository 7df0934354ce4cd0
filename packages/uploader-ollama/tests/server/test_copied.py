"""The copy of a GGUF that Ollama stores, against llama.cpp's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gguf_models import build
from gguf_oracles import convert, llama_quantize
from uploader_ollama.server.copied import copied_digest, copy_blocks

KINDS = ("F16", "BF16", "Q8_0", "Q4_K_M")


@pytest.mark.parametrize("architecture", ["llama", "qwen3-moe"])
def test_the_copy_is_that_of_llama_cpp_byte_for_byte(architecture: str, tmp_path: Path) -> None:
    model = build(architecture, tmp_path / "model")
    for kind, path in convert(model, tmp_path / "out", KINDS, smoke_test=False).items():
        theirs = llama_quantize(path, tmp_path / f"{kind}.gguf", kind, only_copy=True)
        assert b"".join(copy_blocks(path)) == theirs.read_bytes()
        assert path.read_bytes() != theirs.read_bytes()
        assert copied_digest(theirs) == copied_digest(path)
