"""Fixtures; the tools behind them are in mlx_tools and compressed_models."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from compressed_models import save
from compressed_words import put_tokenizer

# There is neither for Windows; what the formats say there is in test_preflight.
if not all(map(importlib.util.find_spec, ("mlx", "mlx_lm"))):
    collect_ignore_glob = ["*.py", "*/*.py"]
else:
    import mlx.core as mx

    # Bits are those of mlx on a processor; nobody compared them with a Mac's GPU.
    mx.set_default_device(mx.cpu)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put_tokenizer(save("llama", tmp_path_factory.mktemp("llama")))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    yield
