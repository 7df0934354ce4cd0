"""Quantise rows as mlx does. Heavy: mlx and torch.

mlx's own functions do it, in a stream for each thread, so that threads do not wait for each other;
but for FP4, which takes them long on a processor.
"""

from __future__ import annotations

import threading

import mlx.core as mx
import torch  # noqa: TID253 - this module computes

from uploader_mlx.arrays import content, from_torch
from uploader_mlx.kinds import Quantisation
from uploader_mlx.small_floats import encode_fp4

_of_thread = threading.local()


_LARGEST_NVFP4 = 6 * 448
"""Of code and scale; mlx stores that for whatever is larger, without a word."""


class NotHeldError(ValueError):
    """A weight has no code; the text says why, as what the tensor does."""


def encode(how: Quantisation, rows: torch.Tensor) -> tuple[memoryview, ...]:
    """Return codes, scales and, of whole numbers, biases of rows, as they are stored.

    Args:
        how: How.
        rows: (rows, columns) in 16 or 32 bits; columns are whole groups.

    Raises:
        NotHeldError: A weight is NaN, infinite, or larger than what can be stored.
    """
    low, high = torch.aminmax(rows)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise NotHeldError("holds NaN or infinity")
    largest = float(torch.maximum(-low, high))
    if how.mode == "nvfp4" and largest > _LARGEST_NVFP4:
        raise NotHeldError(f"holds {largest:g}, and nvfp4 nothing above {_LARGEST_NVFP4}")
    if how.bits == 4 and not how.has_biases:
        return encode_fp4(how, rows)
    with mx.stream(_stream()):
        parts = mx.quantize(from_torch(rows), how.group, how.bits, mode=how.mode)
        return tuple(content(part) for part in parts)


def _stream() -> mx.Stream:
    """Return the stream of this thread."""
    if not hasattr(_of_thread, "stream"):
        _of_thread.stream = mx.new_stream(mx.cpu)
    found: mx.Stream = _of_thread.stream
    return found
