"""Fill what is outside the blocks when it is first used: embedding, norms, head. Heavy.

Towers for images and sound are never used by a text, and so are never read.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import torch  # noqa: TID253 - this module loads weights

from uploader_merged.forward.empty_model import EmptyModel
from uploader_merged.forward.filling import Filler


class Weights(Protocol):
    """Tensors of a checkpoint; a checkpoint itself is one."""

    def read(self, name: str) -> torch.Tensor:
        """Return a whole tensor."""

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return rows along the first axis."""


def fill_when_used(
    empty: EmptyModel, filler: Filler, weights: Weights, windows: Sequence[torch.Tensor]
) -> None:
    """Have everything outside the blocks filled when a text comes to it.

    Args:
        empty: The model.
        filler: Of the same model.
        weights: Where tensors come from.
        windows: All texts; of the embedding only the rows of their tokens are read.
    """
    for name, module in empty.model.named_modules():
        own = [key for key, p in module.named_parameters(recurse=False) if p.is_meta]
        if not own or f"{name}.".startswith(empty.prefixes):
            continue
        if [f"{name}.{key}" for key in own] == [empty.embedding]:
            fill = functools.partial(_fill_embedding, empty, filler, weights, windows)
        elif name == empty.head:
            fill = functools.partial(_fill_head, empty, filler, weights)
        else:
            fill = functools.partial(filler.fill, f"{name}.", weights.read)
        module.register_forward_pre_hook(functools.partial(_once, fill))


def _once(fill: Any, module: Any, _: Any) -> None:
    if any(parameter.is_meta for parameter in module.parameters(recurse=False)):
        fill()


def _fill_embedding(
    empty: EmptyModel, filler: Filler, weights: Weights, windows: Sequence[torch.Tensor]
) -> None:
    source = filler.source(empty.embedding)
    if source is None:
        filler.fill(empty.embedding, weights.read)
        return
    module = empty.model.get_input_embeddings()
    # Rows that no text has stay memory that was never touched.
    whole = torch.zeros(module.weight.shape)
    for row in sorted({token for window in windows for token in window.flatten().tolist()}):
        whole[row] = weights.read_rows(source, row, row + 1)[0].float()
    module.weight = torch.nn.Parameter(whole, requires_grad=False)


def _fill_head(empty: EmptyModel, filler: Filler, weights: Weights) -> None:
    own = filler.sources(f"{empty.head}.")
    if own:
        filler.fill(f"{empty.head}.", weights.read)
        return
    # Tied: the checkpoint has one matrix for both.
    (source,) = filler.sources(empty.embedding)
    head = empty.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(weights.read(source).float(), requires_grad=False)
