"""Quantise rows as mlx does. Heavy: mlx and torch.

mlx's own functions do it, in a stream for each thread, so that threads do not wait for each other.
"""

from __future__ import annotations

import threading

import mlx.core as mx
import torch  # noqa: TID253 - this module computes

from uploader_mlx.arrays import content, from_torch
from uploader_mlx.kinds import Quantisation

_of_thread = threading.local()


class NotFiniteError(ValueError):
    """A weight is NaN or infinite, so it has no scale."""


def encode(how: Quantisation, rows: torch.Tensor) -> tuple[memoryview, ...]:
    """Return codes, scales and, of whole numbers, biases of rows, as they are stored.

    Args:
        how: How.
        rows: (rows, columns) in 16 or 32 bits; columns are whole groups.

    Raises:
        NotFiniteError: A weight is NaN or infinite.
    """
    low, high = torch.aminmax(rows)
    if not (torch.isfinite(low) and torch.isfinite(high)):
        raise NotFiniteError
    with mx.stream(_stream()):
        parts = mx.quantize(from_torch(rows), how.group, how.bits, mode=how.mode)
        return tuple(content(part) for part in parts)


def _stream() -> mx.Stream:
    """Return the stream of this thread."""
    if not hasattr(_of_thread, "stream"):
        _of_thread.stream = mx.new_stream(mx.cpu)
    found: mx.Stream = _of_thread.stream
    return found
