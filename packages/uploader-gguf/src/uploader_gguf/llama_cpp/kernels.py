"""Quantise rows with ggml's own kernels, so that the bytes are llama.cpp's.

ctypes releases the interpreter lock during a call, so threads scale; every row is independent of
its neighbours, so the split into blocks does not change a byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from uploader_core.plugin import IntegrityError
from uploader_gguf.format.quants import TensorType
from uploader_gguf.llama_cpp import library

Rows = npt.NDArray[np.float32]
"""Values, shape (rows, row length), float32, C order."""


def prepare(kinds: set[TensorType]) -> None:
    """Build the lookup tables of the types, once, before threads use them."""
    ggml = library.load()
    for kind in kinds:
        if kind.is_quantized:
            ggml.ggml_quantize_init(int(kind))


def encode(
    rows: Rows, kind: TensorType, importance: npt.NDArray[np.float32] | None = None
) -> npt.NDArray[np.uint8]:
    """Store rows as a type.

    Args:
        rows: Float32 values, shape (n, row length).
        kind: F32, F16, BF16 or a quantised type whose block divides the row length.
        importance: Float32, shape (row length,), from an importance matrix.

    Returns:
        Bytes, shape (n, bytes of a row).

    Raises:
        IntegrityError: A value became infinite or NaN: the type cannot hold it.
    """
    ggml = library.load()
    count, length = rows.shape
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    size = ggml.ggml_row_size(int(kind), length)
    out = np.empty((count, size), dtype=np.uint8)
    weights = None if importance is None else np.ascontiguousarray(importance, dtype=np.float32)
    ggml.ggml_quantize_chunk(
        int(kind),
        rows.ctypes.data,
        out.ctypes.data,
        0,
        count,
        length,
        None if weights is None else weights.ctypes.data,
    )
    if not ggml.ggml_validate_row_data(int(kind), out.ctypes.data, out.nbytes):
        raise not_finite(kind)
    return out


def not_finite(kind: TensorType) -> IntegrityError:
    """Return the error for a value that a type cannot hold."""
    return IntegrityError(
        f"a value is not finite after it was stored as {kind.name}",
        owner="the model's weights",
        next="ask for BF16, which holds every value of a bfloat16 model, with --gguf-quants"
        if kind is TensorType.F16
        else "look for NaN or infinite values in the adapter and in the base",
    )


def widen(half: npt.NDArray[Any], length: int) -> Rows:
    """Return F16 rows as float32.

    Args:
        half: Bytes of F16 values, shape (n, 2 * length).
        length: Values of a row.
    """
    out = np.empty((half.shape[0], length), dtype=np.float32)
    library.load().ggml_fp16_to_fp32_row(half.ctypes.data, out.ctypes.data, out.size)
    return out
