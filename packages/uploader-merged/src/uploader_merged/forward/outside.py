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
        source = filler.source(f"{name}.{own[0]}")
        if f"{name}.{own[0]}" == empty.embedding and source is not None:
            rows = _EmbeddingRows(weights, source, windows)
            # Llama 4 moves tokens to where the matrix is, before it comes to the hook.
            module.weight = torch.nn.Parameter(torch.empty(0), requires_grad=False)
            module.register_forward_pre_hook(rows.before)
            continue
        if name == empty.head:
            fill = functools.partial(_fill_head, empty, filler, weights)
        else:
            fill = functools.partial(filler.fill, f"{name}.", weights.read)
        module.register_forward_pre_hook(functools.partial(_once, fill))


def _once(fill: Any, module: Any, _: Any) -> None:
    if any(parameter.is_meta for parameter in module.parameters(recurse=False)):
        fill()


class _EmbeddingRows:
    """The rows of an embedding that a text has, in place of all of them.

    Args:
        weights: Where they come from.
        source: Name of the embedding in the checkpoint.
        windows: All texts.
    """

    def __init__(self, weights: Weights, source: str, windows: Sequence[torch.Tensor]) -> None:
        self._weights = weights
        self._source = source
        self._tokens = sorted({t for window in windows for t in window.flatten().tolist()})
        self._places = torch.zeros(self._tokens[-1] + 1, dtype=torch.long)
        self._places[self._tokens] = torch.arange(len(self._tokens))

    def before(self, module: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """Fill the module where it is empty, and say which of its rows a text has."""
        if not module.weight.numel():
            read = self._weights.read_rows
            rows = [read(self._source, token, token + 1).float() for token in self._tokens]
            module.weight = torch.nn.Parameter(torch.cat(rows), requires_grad=False)
            module.padding_idx = None  # a matter of training, and a row that may not be there
        return self._places[given[0]], *given[1:]


def _fill_head(empty: EmptyModel, filler: Filler, weights: Weights) -> None:
    own = filler.sources(f"{empty.head}.")
    if own:
        filler.fill(f"{empty.head}.", weights.read)
        return
    # Tied: the checkpoint has one matrix for both.
    (source,) = filler.sources(empty.embedding)
    head = empty.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(weights.read(source).float(), requires_grad=False)
