"""Quantise rows as mlx does. Heavy: mlx and torch.

Whole numbers by the compiled kernel, FP4 by :mod:`uploader_mlx.small_floats`, the rest by mlx's own
functions, in a stream for each thread, so that threads do not wait for each other. All have the
same bits, which the tests compare.
"""

from __future__ import annotations

import threading

import mlx.core as mx
import torch  # noqa: TID253 - this module computes

import uploader_kernels
from uploader_merged.compute.tensors import memory
from uploader_mlx.arrays import content, from_torch
from uploader_mlx.kinds import Quantisation
from uploader_mlx.small_floats import encode_fp4

_NOT_FINITE = "holds NaN or infinity"
_SPELLED = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
_of_thread = threading.local()


_LARGEST_NVFP4 = 6 * 448
"""Of code and scale; mlx stores that for whatever is larger, without a word."""


class NotHeldError(ValueError):
    """A weight has no code; the text says why, as what the tensor does."""


def encode(
    how: Quantisation, rows: torch.Tensor, kernels: uploader_kernels.Library | None = None
) -> tuple[memoryview, ...]:
    """Return codes, scales and, of whole numbers, biases of rows, as they are stored.

    Args:
        how: How.
        rows: (rows, columns) in 16 or 32 bits; columns are whole groups.
        kernels: The compiled ones, where they are.

    Raises:
        NotHeldError: A weight is NaN, infinite, or larger than what can be stored.
    """
    if kernels is not None and how.has_biases:
        return _in_one_pass(kernels, how, rows.contiguous())
    low, high = torch.aminmax(rows)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise NotHeldError(_NOT_FINITE)
    largest = float(torch.maximum(-low, high))
    if how.mode == "nvfp4" and largest > _LARGEST_NVFP4:
        raise NotHeldError(f"holds {largest:g}, and nvfp4 nothing above {_LARGEST_NVFP4}")
    if how.bits == 4 and not how.has_biases:
        return encode_fp4(how, rows)
    with mx.stream(_stream()):
        parts = mx.quantize(from_torch(rows), how.group, how.bits, mode=how.mode)
        return tuple(content(part) for part in parts)


def _in_one_pass(
    kernels: uploader_kernels.Library, how: Quantisation, rows: torch.Tensor
) -> tuple[memoryview, ...]:
    groups = rows.numel() // how.group
    codes = torch.empty(rows.numel() * how.bits // 8, dtype=torch.uint8)
    scales, biases = (torch.empty(groups, dtype=rows.dtype) for _ in range(2))
    finite = uploader_kernels.affine(
        kernels,
        (rows.data_ptr(), _SPELLED[rows.dtype]),
        groups,
        how.group,
        how.bits,
        codes.data_ptr(),
        scales.data_ptr(),
        biases.data_ptr(),
    )
    if not finite:
        raise NotHeldError(_NOT_FINITE)
    return memory(codes), memory(scales), memory(biases)


def _stream() -> mx.Stream:
    """Return the stream of this thread."""
    if not hasattr(_of_thread, "stream"):
        _of_thread.stream = mx.new_stream(mx.cpu)
    found: mx.Stream = _of_thread.stream
    return found
