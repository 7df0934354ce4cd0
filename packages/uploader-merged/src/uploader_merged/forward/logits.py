"""What a model predicts for texts, with the weights of one block in memory. Heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch  # noqa: TID253 - this module computes

from uploader_merged.forward.empty_model import build_empty
from uploader_merged.forward.filling import Filler
from uploader_merged.forward.in_step import Call, run_in_step
from uploader_merged.forward.matrices import Products, placed_in
from uploader_merged.forward.outside import Weights, fill_when_used
from uploader_merged.merge_plan.recipes import Recipe

Instead = Callable[[tuple[str, ...], torch.Tensor], torch.Tensor | None]
"""Given the matrices of a product and its input, (tokens, in), returns what to compute with."""


class NamedWeights(Weights, Protocol):
    """Tensors with names and shapes; a checkpoint is one."""

    @property
    def config(self) -> Mapping[str, Any]:
        """``config.json``."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all tensors."""

    @property
    def stacks(self) -> Mapping[str, tuple[Recipe, ...]]:
        """Parts of fused experts that are among the names, by the name of the whole."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape."""


def predict(
    weights: NamedWeights,
    windows: Sequence[torch.Tensor],
    at_end: Callable[[int, torch.Tensor], None],
    progress: Callable[[int, int], None],
    instead: Instead | None = None,
    needed: frozenset[str] = frozenset(),
) -> None:
    """Compute logits in float32.

    Args:
        weights: The model.
        windows: Token ids, each of shape (1, tokens).
        at_end: Given the number of a text and its logits, shape (tokens of the second half,
            vocabulary).
        progress: Told (blocks done, blocks in all).
        instead: What inputs of products become first, as where a server quantises them.
        needed: Matrices of which ``instead`` has to be asked.

    Raises:
        RefusedError: transformers cannot compute with this model.
        PluginError: It computes in a way that is not known here.
    """
    empty = build_empty(weights.config)
    filler = Filler(empty.model, weights.names, weights.stacks)
    fill_when_used(empty, filler, weights, windows)

    def at_block(number: int, calls: Sequence[Call]) -> Sequence[Any]:
        progress(number, len(empty.blocks))
        prefix, block = empty.prefixes[number], empty.blocks[number]
        placed = placed_in(empty, filler, number, weights.shape) if instead else ()
        filler.fill(prefix, weights.read)
        with Products(empty.model, placed, instead or _as_it_is, needed) as products:
            outputs = [call.through(block) for call in calls]
        products.check()
        filler.empty(prefix)
        progress(number + 1, len(empty.blocks))
        return outputs

    run_in_step(empty, windows, at_block, at_end)


def _as_it_is(_: tuple[str, ...], __: torch.Tensor) -> None:
    return None
