"""llama.cpp's own encoders, the truth that the kernels are compared with.

They lie in the shared library of the package xllamacpp, which is opened by ctypes alone.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import uploader_kernels

Rows = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

NAMES = {
    "Q4_0": 2, "Q5_0": 6, "Q8_0": 8, "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14,
    "IQ3_XXS": 18, "IQ3_S": 21, "IQ4_NL": 20, "IQ4_XS": 23,
}  # fmt: skip
"""``enum ggml_type`` by name, all that there is a kernel for."""


@functools.cache
def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("xllamacpp")
    if spec is None:
        pytest.skip("needs xllamacpp, which carries llama.cpp's own encoders")
    for path in sorted(Path(spec.submodule_search_locations[0]).iterdir()):
        if path.name.startswith("xllamacpp") and path.suffix in {".so", ".dylib", ".pyd", ".dll"}:
            library = ctypes.CDLL(str(path))
            pointer, count = ctypes.c_void_p, ctypes.c_int64
            library.ggml_quantize_chunk.argtypes = [
                ctypes.c_int, pointer, pointer, count, count, count, pointer,
            ]  # fmt: skip
            library.ggml_quantize_chunk.restype = ctypes.c_size_t
            return library
    raise FileNotFoundError("xllamacpp has no shared library")


def stock(rows: Rows, kind: int, importance: Rows | None = None) -> Bytes:
    """Store rows as llama.cpp does; as :func:`uploader_kernels.encode`, for any values."""
    block, size = uploader_kernels.TYPES[kind]
    out = np.empty((rows.shape[0], rows.shape[1] // block * size), np.uint8)
    _library().ggml_quantize_chunk(
        kind, rows.ctypes.data, out.ctypes.data, 0, *rows.shape,
        None if importance is None else importance.ctypes.data,
    )  # fmt: skip
    return out


def different(
    library: uploader_kernels.Library, rows: Rows, kind: int, importance: Rows | None, truth: Bytes
) -> tuple[int, int]:
    """Compare a kernel with what llama.cpp made.

    Returns:
        How many blocks differ after llama.cpp did the rows with strange ones, as a run does it; and
        how many are strange.
    """
    ours, strange = uploader_kernels.encode(library, rows, kind, importance)
    block, size = uploader_kernels.TYPES[kind]
    # Nothing but the strange blocks is taken from llama.cpp: their neighbours are compared.
    ours, truth = ours.reshape(-1, size), truth.reshape(-1, size)
    ours[strange] = truth[strange]
    return int((ours != truth).any(axis=1).sum()), len(strange)
