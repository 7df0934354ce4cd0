"""Small real models; what makes them is in gguf_llamas."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gguf_llamas import byte_level_tokenizer, llama, sentencepiece_tokenizer


@pytest.fixture(scope="session")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows divide by 256, bfloat16."""
    return llama(
        tmp_path_factory.mktemp("models") / "Tiny-Llama",
        hidden=256,
        dtype=torch.bfloat16,
        tokenizer=sentencepiece_tokenizer,
    )


@pytest.fixture(scope="session")
def odd_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows do not divide by 256, float32, tied embeddings, a tokenizer that nobody knows."""
    return llama(
        tmp_path_factory.mktemp("models") / "Odd-Llama",
        hidden=96,
        dtype=torch.float32,
        tokenizer=byte_level_tokenizer,
        tie_word_embeddings=True,
    )
