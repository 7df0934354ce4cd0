"""Fill what is outside the blocks when it is first used: embedding, norms, head. Heavy.

Towers for images and sound are never used by a text, and so are never read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch  # noqa: TID253 - this module loads weights

from uploader_core.plugin import PluginError, RefusedError
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
            # At once: Llama 4 looks where its embedding is before it calls it.
            module.register_forward_pre_hook(_embedding_rows(module, weights, source, windows))
            continue
        if name == empty.head:
            fill = functools.partial(_fill_head, empty, filler, weights)
        else:
            fill = functools.partial(filler.fill, f"{name}.", weights.read)
        module.register_forward_pre_hook(functools.partial(_once, fill))


def _once(fill: Any, module: Any, _: Any) -> None:
    if any(parameter.is_meta for parameter in module.parameters(recurse=False)):
        fill()


def _embedding_rows(
    module: Any, weights: Weights, source: str, windows: Sequence[torch.Tensor]
) -> Callable[[Any, tuple[Any, ...]], tuple[Any, ...]]:
    """Fill an embedding with the rows of the texts' tokens alone.

    Args:
        module: The embedding.
        weights: Where they come from.
        source: Name of the embedding in the checkpoint.
        windows: All texts.

    Returns:
        What says before each call which of the rows a text has.

    Raises:
        RefusedError: A token has no row.
    """
    tokens = sorted({token for window in windows for token in window.flatten().tolist()})
    if tokens[-1] >= len(module.weight):
        raise RefusedError(
            f"the tokenizer makes token {tokens[-1]} of the text, and the embedding has "
            f"{len(module.weight)} rows",
            owner=source,
            next="give the tokenizer that belongs to the model, or save a model that was resized "
            "to it: model.resize_token_embeddings(len(tokenizer))",
        )
    places = torch.full((tokens[-1] + 1,), -1)
    places[tokens] = torch.arange(len(tokens))
    rows = [weights.read_rows(source, token, token + 1).float() for token in tokens]
    module.weight = torch.nn.Parameter(torch.cat(rows), requires_grad=False)
    module.padding_idx = None  # a matter of training, and a row that may not be there

    def before(_: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
        asked = given[0]
        if asked.is_meta or asked.max() > tokens[-1] or (places[asked] < 0).any():
            raise PluginError(
                "the model asks its embedding for tokens that the text does not have",
                owner=source,
                next="formats that need no data can be made; report the architecture",
            )
        return places[asked], *given[1:]

    return before


def _fill_head(empty: EmptyModel, filler: Filler, weights: Weights) -> None:
    if not filler.sources(f"{empty.head}.weight"):
        # Tied: the checkpoint has one matrix for both, and maybe a bias of the head's own.
        (source,) = filler.sources(empty.embedding)
        head = empty.model.get_output_embeddings()
        head.weight = torch.nn.Parameter(weights.read(source).float(), requires_grad=False)
    if filler.sources(f"{empty.head}."):
        filler.fill(f"{empty.head}.", weights.read)
