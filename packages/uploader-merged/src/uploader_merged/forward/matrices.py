"""Which matrix of the checkpoint a product in a block is with. Heavy.

A product is known by where its matrix lies in memory. What lies there is found out by filling the
block once with numbers that say which tensor they are from: transformers stacks and joins tensors
in ways of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - this module computes
from torch.overrides import TorchFunctionMode  # noqa: TID253

from uploader_core.plugin import PluginError
from uploader_merged.forward.empty_model import EmptyModel
from uploader_merged.forward.filling import Filler
from uploader_merged.load_proof.model_class import loader

_MATMUL = frozenset(
    {
        torch.matmul, torch.mm, torch.Tensor.matmul, torch.Tensor.mm,
        torch.Tensor.__matmul__,
    }
)  # fmt: skip
_EXPERT = re.compile(r"\.experts\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """Where a matrix of the checkpoint lies in a model.

    Attributes:
        source: Its name in the checkpoint.
        parameter: Name of the parameter.
        matrix: Number of the matrix in a stack of them; 0 where there is no stack.
    """

    source: str
    parameter: str
    matrix: int


def placed_in(
    empty: EmptyModel,
    filler: Filler,
    block: int,
    shapes: Any,
    needed: frozenset[str] | None = None,
) -> tuple[Placed, ...]:
    """Find the matrices of a block; fills it, and leaves it empty.

    Args:
        empty: The model.
        filler: Of the same.
        block: Number of the block.
        shapes: Returns the shape of a tensor of the checkpoint by its name.
        needed: Names whose products have to be seen; None for all.

    Returns:
        All matrices that lie in the model as in the checkpoint, (out, in), in their own rows.

    Raises:
        PluginError: Single experts that are needed are not among them.
    """
    prefix = empty.prefixes[block]
    numbers = {name: number for number, name in enumerate(filler.sources(prefix), 1)}
    filler.fill(
        prefix, lambda name: torch.tensor(float(numbers[name])).expand(shapes(name)).clone()
    )
    names = {number: name for name, number in numbers.items()}
    found = []
    for name, parameter in empty.blocks[block].named_parameters():
        if parameter.dim() not in (2, 3):
            continue
        stack = parameter.detach().reshape(-1, *parameter.shape[-2:])
        for number, matrix in enumerate(stack):
            tags, counts = torch.unique_consecutive(matrix[:, 0], return_counts=True)
            for tag, count in zip(tags.tolist(), counts.tolist(), strict=True):
                source = names.get(int(tag))
                if source is not None and shapes(source) == (count, matrix.shape[1]):
                    found.append(Placed(source=source, parameter=prefix + name, matrix=number))
    filler.empty(prefix)
    unseen = set(filler.parts(prefix)).difference(placed.source for placed in found)
    if needed is not None:
        unseen &= needed
    if unseen:
        raise PluginError(
            f"{loader()} multiplies the experts of a layer at once, so what {min(unseen)} gets is "
            "not seen",
            owner=type(empty.model).__name__,
            next="formats that need no data can be made",
        )
    return tuple(found)


class Products(TorchFunctionMode):
    """Sees every product of a text with a matrix of a block.

    Args:
        model: Whose block is computed; filled.
        placed: The matrices.
        see: Given the names of all matrices of the checkpoint that a product is with, and its
            input, shape (tokens, in), returns what to compute with instead, or None.
        needed: Matrices whose products must be seen; of experts only those that a token reaches.
    """

    def __init__(
        self,
        model: Any,
        placed: Sequence[Placed],
        see: Callable[[tuple[str, ...], torch.Tensor], torch.Tensor | None],
        needed: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self._see = see
        self._owner = type(model).__name__
        self._unseen = {
            one.source
            for one in placed
            if one.source in needed
            and model.get_parameter(one.parameter).dim() == 2
            and not _EXPERT.search(one.source)
        }
        known: dict[int, list[str]] = {}
        for one in placed:
            parameter = model.get_parameter(one.parameter)
            matrix = parameter[one.matrix] if parameter.dim() == 3 else parameter
            known.setdefault(matrix.data_ptr(), []).append(one.source)
        self._known = {address: tuple(names) for address, names in known.items()}

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.nn.functional.linear and len(args) > 1:
            args = (self._seen(args[1], args[0]), *args[1:])
        elif function in _MATMUL and len(args) > 1:
            left, right = args[:2]
            if right.dim() == 2 and right.mT.is_contiguous():
                args = (self._seen(right, left), *args[1:])
            elif left.dim() == 2 and left.is_contiguous() and right.dim() > 1:
                args = (left, self._seen(left, right.mT).mT)
        return function(*args, **kwargs)

    def check(self) -> None:
        """Be sure that the products were seen, once texts went through the block.

        Raises:
            PluginError: One was not, because it is computed in a way that is not known here.
        """
        if self._unseen:
            raise PluginError(
                f"{loader()} multiplies with {min(self._unseen)} in a way that is not known here, "
                "so what it is multiplied with is not seen",
                owner=self._owner,
                next="formats that need no data can be made; report the architecture",
            )

    def _seen(self, matrix: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Return what a matrix is multiplied with, (..., in), after it was shown."""
        names = self._known.get(matrix.data_ptr())
        if names is None:
            return value
        self._unseen.difference_update(names)
        instead = self._see(names, value.detach().flatten(0, -2))
        return value if instead is None else instead.view(value.shape)
