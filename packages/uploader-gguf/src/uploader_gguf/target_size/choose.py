"""Choose a type for each tensor within a number of bytes, from what each choice costs.

Pure, and the same for the same input. Of a tensor's types only those on the lower convex hull of
bytes and error are steps worth taking; all steps of all tensors are taken in the order of what a
byte saves (which is what Lagrange's multiplier finds), and a step that does not fit ends the steps
of its tensor. In this order a step that was passed over saves more than everything smaller that is
taken in its place, so a larger budget never has a larger error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from uploader_gguf.format.quants import TensorType


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One way to store a tensor.

    Attributes:
        kind: Its type.
        nbytes: In the file, with padding.
        error: What the whole model loses by it, as far as that is predicted; any unit.
    """

    kind: TensorType
    nbytes: int
    error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        kinds: Type by tensor.
        nbytes: Of all these tensors, with padding.
        error: Predicted, the sum over tensors.
        largest: Whether every tensor has the best of its types, so that more bytes help nothing.
    """

    kinds: Mapping[str, TensorType]
    nbytes: int
    error: float
    largest: bool


class TooSmallError(ValueError):
    """A budget below the smallest file."""


class _Step(NamedTuple):
    slope: float  # error for each byte, negative
    name: str
    number: int  # along the hull of its tensor


def hull(options: Sequence[Option]) -> list[Option]:
    """Return the options on the lower convex hull, smallest first.

    Args:
        options: Of one tensor, at least one.
    """
    kept: list[Option] = []
    for option in sorted(options, key=lambda o: (o.nbytes, o.error, o.kind)):
        if kept and option.error >= kept[-1].error:
            continue
        # The one before is above the line from its neighbour to this one: no step worth taking.
        while len(kept) > 1 and _slope(kept[-2], option) <= _slope(kept[-2], kept[-1]):
            kept.pop()
        kept.append(option)
    return kept


def _slope(a: Option, b: Option) -> float:
    return (b.error - a.error) / (b.nbytes - a.nbytes)


def choose(tensors: Mapping[str, Sequence[Option]], budget: int) -> Choice:
    """Choose the types.

    Args:
        tensors: Options by tensor name, at least one for each.
        budget: Bytes for all of them together, with padding.

    Raises:
        TooSmallError: The smallest choice is larger; it says by how much.
    """
    hulls = {name: hull(options) for name, options in tensors.items()}
    nbytes = sum(steps[0].nbytes for steps in hulls.values())
    if nbytes > budget:
        raise TooSmallError(f"the smallest choice is {nbytes - budget} bytes larger")
    order = sorted(
        _Step(_slope(steps[number - 1], steps[number]), name, number)
        for name, steps in hulls.items()
        for number in range(1, len(steps))
    )
    taken = dict.fromkeys(hulls, 0)
    for _, name, number in order:
        more = hulls[name][number].nbytes - hulls[name][number - 1].nbytes
        if taken[name] == number - 1 and nbytes + more <= budget:
            taken[name] = number
            nbytes += more
    chosen = {name: hulls[name][number] for name, number in taken.items()}
    return Choice(
        kinds={name: option.kind for name, option in chosen.items()},
        nbytes=nbytes,
        error=sum(option.error for option in chosen.values()),
        largest=all(number == len(hulls[name]) - 1 for name, number in taken.items()),
    )
