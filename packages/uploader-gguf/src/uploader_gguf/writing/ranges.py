"""How the work on a model's files is divided: into ranges of its tensors.

A range is one for all files, because a tensor is read and merged once for all of them. Where ranges
begin follows from the tensors alone, whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from uploader_core.plugin import Piece
from uploader_gguf.llama_cpp.weights import Weights

PREFIX = "tensors-"
"""Beginning of the names of ranges."""

_LEAST, _MOST = 8, 256
"""Ranges of a model."""

_VALUES = 1 << 30
"""Values of a range of a large model."""

_WEIGHT = 64
"""Bytes of files that count as one byte of a piece.

A worker has torch, transformers and llama.cpp's converter to load before it stores anything, and
then has all processors of its machine for it: it is worth that for 4 GiB, where it would be for 64
MiB that are only copied.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Tensors that follow each other.

    Attributes:
        name: What the plan calls it.
        tensors: Their places in the converter's order; none where a neighbour is very large.
    """

    name: str
    tensors: range


def pieces(weights: Weights, nbytes: int) -> tuple[Piece, ...]:
    """Return the ranges as a plan has them, from headers alone.

    Args:
        weights: The checkpoint.
        nbytes: Of all files together.
    """
    count = _count(weights)
    return tuple(piece(_name(n, count), nbytes // count) for n in range(count))


def piece(name: str, nbytes: int) -> Piece:
    """Return a piece of the step's work, weighed against starting a worker for it.

    Args:
        name: Of a range or a file.
        nbytes: Of what is made.
    """
    return Piece(name=name, size=max(1, nbytes // _WEIGHT))


def ranges(weights: Weights, shapes: Sequence[tuple[int, ...]]) -> tuple[Range, ...]:
    """Divide the tensors of the files into ranges with about the same number of values.

    Args:
        weights: The checkpoint.
        shapes: Of the tensors, in the converter's order.
    """
    count = _count(weights)
    values = [prod(shape) for shape in shapes]
    total, before = max(1, sum(values)), 0
    ends = [0] * count
    for index, size in enumerate(values):
        # A tensor belongs where its middle is.
        ends[min(count - 1, (2 * before + size) * count // (2 * total))] = index + 1
        before += size
    found, start = [], 0
    for number, end in enumerate(ends):
        stop = max(start, end)
        found.append(Range(name=_name(number, count), tensors=range(start, stop)))
        start = stop
    return tuple(found)


def _count(weights: Weights) -> int:
    names = tuple(weights.names)
    values = sum(prod(weights.shape(name)) for name in names)
    return min(len(names), max(_LEAST, min(_MOST, values // _VALUES)))


def _name(number: int, count: int) -> str:
    return f"{PREFIX}{number + 1:05d}-of-{count:05d}"
