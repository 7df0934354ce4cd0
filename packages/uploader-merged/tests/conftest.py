"""Fixtures; the tools behind them are in merged_tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from merged_tools import Merge, save_llama, train


@pytest.fixture
def merge(tmp_path: Path) -> Merge:
    return Merge(tmp_path / "release")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def tied_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("tied"), tie_word_embeddings=True)


@pytest.fixture(scope="session")
def adapter(llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA on every linear layer of ``llama``, at a scale that is no power of two."""
    folder = tmp_path_factory.mktemp("adapter")
    return train(llama, folder, r=8, lora_alpha=13, target_modules="all-linear")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    yield
