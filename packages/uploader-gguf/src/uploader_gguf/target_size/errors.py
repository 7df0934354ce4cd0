"""How much each tensor loses in each type, measured on rows of it. For worker processes only.

Rows spread evenly over a tensor, and over its experts, are stored as llama.cpp would store them and
read back. The error is the share of the values' energy that is lost: squares of differences over
squares of values, both weighted by the importance matrix where there is one, so that it is the
share of the *output's* energy that the inputs of the calibration would lose.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np  # noqa: TID253 - what a worker imports, and a child of a plan
import numpy.typing as npt  # noqa: TID253

from uploader_core.plugin import IntegrityError
from uploader_gguf.format.quants import TensorType
from uploader_gguf.importance.imatrix import Importance
from uploader_gguf.llama_cpp import kernels, library
from uploader_gguf.llama_cpp.converter import Conversion, Planned
from uploader_gguf.llama_cpp.encoders import Encoders
from uploader_gguf.llama_cpp.lazy import as_float32

SAMPLE = 1 << 14
"""Values of a tensor that are looked at, about; all of them where it has no more."""

Losses = dict[TensorType, float]


def measure(
    planned: Planned,
    kinds: tuple[TensorType, ...],
    conversion: Conversion,
    importance: Importance | None,
    encoders: Encoders,
    pool: ThreadPoolExecutor,
) -> Losses:
    """Return the share of a tensor's energy that is lost by each type.

    Args:
        planned: The tensor; its values are read, and can be read again.
        kinds: Types whose blocks fit its rows.
        conversion: That it belongs to.
        importance: An importance matrix.
        encoders: That store values.
        pool: Threads that share the work.

    Raises:
        IntegrityError: A value is not finite, or F16 cannot hold it; the tensor is named.
    """
    try:
        return _measure(planned, kinds, conversion, importance, encoders, pool)
    except IntegrityError as error:
        raise error.replace(what=f"{planned.name}: {error.what}") from error


def _measure(
    planned: Planned,
    kinds: tuple[TensorType, ...],
    conversion: Conversion,
    importance: Importance | None,
    encoders: Encoders,
    pool: ThreadPoolExecutor,
) -> Losses:
    weights = None if importance is None else importance.of(planned.name, planned.shape)
    height = planned.shape[-2] if len(planned.shape) > 1 else 1
    # What llama-quantize gets is the F16 file.
    halved = planned.stored["F16"] is TensorType.F16
    energy = 0.0
    lost = dict.fromkeys(kinds, 0.0)
    jobs: list[tuple[TensorType, Future[float]]] = []
    for first, block in conversion.sample(planned.values, SAMPLE):
        rows = as_float32(block)
        encoders.require_finite(rows)
        if halved:
            rows = encoders.halve(rows)
        for part, expert in _by_expert(rows, first, height):
            own = None if weights is None else weights[expert]
            energy += _energy(part, own)
            jobs += [(kind, pool.submit(_lost, encoders, part, kind, own)) for kind in kinds]
    for kind, job in jobs:
        lost[kind] += job.result()
    return {kind: value / energy if energy > 0 else 0.0 for kind, value in lost.items()}


def _by_expert(rows: kernels.Rows, first: int, height: int) -> Iterator[tuple[kernels.Rows, int]]:
    """Cut rows where the next expert begins; ``first`` is the number of the first one."""
    start = 0
    while start < rows.shape[0]:
        expert, within = divmod(first + start, height)
        end = min(rows.shape[0], start + height - within)
        yield rows[start:end], expert
        start = end


def _energy(values: kernels.Rows, weights: npt.NDArray[np.float32] | None) -> float:
    # In float64, and column by column: the sum is the same however threads share the work.
    columns = np.einsum("ij,ij->j", values, values, dtype=np.float64)
    return float(columns.sum() if weights is None else columns @ weights.astype(np.float64))


def _lost(
    encoders: Encoders,
    rows: kernels.Rows,
    kind: TensorType,
    weights: npt.NDArray[np.float32] | None,
) -> float:
    stored = encoders.encode(rows, kind, weights)
    return _energy(decode(stored, kind, rows.shape[1]) - rows, weights)


def decode(stored: npt.NDArray[np.uint8], kind: TensorType, length: int) -> kernels.Rows:
    """Return stored rows as float32, with ggml's own functions.

    Args:
        stored: Bytes, shape (n, bytes of a row).
        kind: F16 or a quantised type.
        length: Values of a row.
    """
    if kind is TensorType.F16:
        return kernels.widen(stored, length)
    out = np.empty((stored.shape[0], length), dtype=np.float32)
    _reader(kind)(stored.ctypes.data, out.ctypes.data, out.size)
    return out


def _reader(kind: TensorType) -> Any:
    # ggml-quants.h: dequantize_row_q4_K, dequantize_row_iq4_xs ...
    name = kind.name.lower()
    function = getattr(library.load(), f"dequantize_row_{name.replace('_k', '_K')}")
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function.restype = None
    return function
