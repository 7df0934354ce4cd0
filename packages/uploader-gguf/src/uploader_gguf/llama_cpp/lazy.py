"""Evaluate llama.cpp's lazy tensors in blocks of rows.

llama.cpp's converter does not compute: it records, for each tensor of the GGUF file, a graph of
operations that ends at the tensors of the checkpoint. Evaluating such a graph as a whole needs
memory for the largest tensor several times over. Most graphs are trivial, though: one tensor of the
checkpoint, perhaps cast, or several stacked or joined along the first axis (experts). Those are
read in blocks here. Everything else is evaluated whole, which is always right.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from uploader_gguf.llama_cpp.weights import Weights

if TYPE_CHECKING:
    import torch

BLOCK = 1 << 20
"""Values that are in flight at once, per tensor."""

Array = npt.NDArray[Any]


def source_type(lazy_torch: Any) -> Any:
    """Return a subclass of llama.cpp's ``LazyTorchTensor`` that knows where it comes from.

    Args:
        lazy_torch: ``conversion.base.LazyTorchTensor``, handed in because it can only be imported
            when the tool chain is active.
    """

    class Source(lazy_torch):  # type: ignore[misc]  # the base exists at run time only
        """A whole tensor of the checkpoint, perhaps cast to another type."""

        _tensor_type = lazy_torch._tensor_type

        def __init__(self, weights: Weights, name: str, dtype: torch.dtype) -> None:
            self.weights, self.name = weights, name
            super().__init__(
                meta=lazy_torch.meta_with_dtype_and_shape(dtype, weights.shape(name)),
                args=(),
                func=lambda: weights.read(name).to(dtype),
            )

        @classmethod
        def _wrap_fn(cls, *args: Any, **kwargs: Any) -> Any:
            # Whatever is computed from a source is an ordinary lazy tensor.
            return lazy_torch._wrap_fn(*args, **kwargs)

        def to(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
            # A plain widening keeps the knowledge; bfloat16 to float32 is the first thing that the
            # converter does to almost every tensor.
            widening = {"torch.bfloat16": "torch.float32", "torch.float16": "torch.float32"}
            if args or kwargs or widening.get(str(self.dtype)) != str(dtype):
                return self._wrap_fn(lambda t: t.to(dtype, *args, **kwargs))(self)
            return Source(self.weights, self.name, dtype)

        def blocks(self) -> Iterator[Array]:
            """Yield blocks of rows, cast one by one."""
            length = max(1, self.shape[-1])
            step = max(1, BLOCK // length)
            for part in self.weights.blocks(self.name, BLOCK):
                # A block of a stack of experts can be a whole expert.
                rows = part.reshape(-1, length)
                for start in range(0, rows.shape[0], step):
                    yield rows[start : start + step].to(self.dtype).numpy()

        def part(self, start: int, stop: int) -> Array:
            """Return a range of the first axis as rows."""
            part = self.weights.read_rows(self.name, start, stop)
            rows: Array = part.to(self.dtype).numpy().reshape(-1, max(1, self.shape[-1]))
            return rows

    return Source


def row_blocks(lazy: Any, lazy_numpy: Any, source: Any) -> Iterator[Array]:
    """Yield a lazy array as consecutive blocks of rows.

    Args:
        lazy: A ``gguf.LazyNumpyTensor`` or a plain array, at least one axis.
        lazy_numpy: The class ``gguf.LazyNumpyTensor``.
        source: What :func:`source_type` returned.

    Yields:
        Arrays of shape (rows, row length), at most about :data:`BLOCK` values unless the graph has
        to be evaluated whole. The last axis is a row; all others are flattened.
    """
    pieces = _pieces(lazy, source) if isinstance(lazy, lazy_numpy) and len(lazy.shape) > 1 else None
    if pieces is not None:
        for piece in pieces:
            yield from piece.blocks()
        return
    length = max(1, lazy.shape[-1])
    step = max(1, BLOCK // length)
    whole = lazy_numpy.to_eager(lazy).reshape(-1, length)
    for start in range(0, whole.shape[0], step):
        yield whole[start : start + step]


_PLACES = 8
"""Places of a matrix, and experts of a layer, that a sample comes from."""


def sample_rows(
    lazy: Any, lazy_numpy: Any, source: Any, values: int
) -> Iterator[tuple[int, Array]]:
    """Yield rows from all over a lazy array, the same ones each time, and leave it lazy.

    Args:
        lazy: As for :func:`row_blocks`.
        lazy_numpy: The class ``gguf.LazyNumpyTensor``.
        source: What :func:`source_type` returned.
        values: How many values, about; all of a matrix that has no more.

    Yields:
        The number of the first row, and an array of consecutive rows.
    """
    length = max(1, lazy.shape[-1])
    wanted = max(1, values // length)
    pieces = _pieces(lazy, source) if isinstance(lazy, lazy_numpy) and len(lazy.shape) > 1 else None
    if pieces is None:
        whole = _evaluated(lazy, lazy_numpy).reshape(-1, length)
        for start, stop in _spread(whole.shape[0], wanted):
            yield start, whole[start:stop]
        return
    firsts = list(accumulate((prod(p.shape[:-1]) for p in pieces), initial=0))
    some = _some(len(pieces))
    for number in some:
        piece, first, share = pieces[number], firsts[number], max(1, wanted // len(some))
        if len(piece.shape) == 2:
            for start, stop in _spread(piece.shape[0], share):
                yield first + start, piece.part(start, stop)
            continue
        experts = _some(piece.shape[0])
        for expert in experts:  # read as a whole: ranges are along the first axis
            rows = piece.part(expert, expert + 1)
            for start, stop in _spread(rows.shape[0], max(1, share // len(experts))):
                yield first + expert * rows.shape[0] + start, rows[start:stop]


def _some(count: int) -> list[int]:
    """Return numbers below ``count``, evenly spread, at most as many as there are places."""
    places = min(_PLACES, count)
    return [place * count // places for place in range(places)]


def _spread(rows: int, wanted: int) -> list[tuple[int, int]]:
    """Return ranges of rows, evenly spread, of about so many rows together."""
    if wanted >= rows:
        return [(0, rows)]
    size = wanted // min(_PLACES, wanted)
    places = wanted // size
    return [(start, start + size) for start in (n * rows // places for n in range(places))]


def _evaluated(lazy: Any, lazy_numpy: Any) -> Any:
    """Return what ``LazyBase.to_eager`` does, without keeping values in the graph."""

    def value(node: Any) -> Any:
        if node._data is not None:
            return node._data
        arguments = lazy_numpy._recurse_apply(node._args, value)
        return node._func(*arguments, **node._kwargs)

    return lazy_numpy._recurse_apply(lazy, value)


def _pieces(lazy: Any, source: Any) -> list[Any] | None:
    """Return the checkpoint tensors that follow each other in this array, or None."""
    # LazyTorchTensor.numpy() is the only thing that makes a numpy node out of a torch node.
    if lazy._data is not None or len(lazy._args) != 1:
        return None
    node = lazy._args[0]
    if isinstance(node, source):
        return [node]
    joined = getattr(getattr(node, "_func", None), "__name__", "")
    if joined in ("stack", "cat", "concat") and _axis(node) == 0:
        parts = node._args[0]
        if isinstance(parts, (list, tuple)) and all(isinstance(p, source) for p in parts):
            return list(parts)
    return None


def _axis(node: Any) -> Any:
    """Return the axis of a recorded ``torch.stack`` or ``torch.cat``."""
    return node._kwargs.get("dim", node._args[1] if len(node._args) > 1 else 0)


def as_float32(block: Array) -> npt.NDArray[np.float32]:
    """Return a block as float32; exact for float16."""
    return np.ascontiguousarray(block, dtype=np.float32)
