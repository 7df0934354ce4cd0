"""The model of a checkpoint, built by transformers without its weights. Heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - this module builds models

from uploader_core.plugin import RefusedError
from uploader_merged.load_proof.model_class import (
    UnknownModelError,
    class_for,
    loader,
    own_code,
    quiet,
    read_config,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EmptyModel:
    """A model whose parameters are on the meta device, and whose buffers are real.

    Attributes:
        model: Of transformers, to compute in float32.
        blocks: Layers of the decoder, in the order of computing.
        prefixes: Names of the blocks, with a dot behind.
        head: Name of the output head.
        embedding: Name of the matrix of the input embedding.
    """

    model: Any
    blocks: tuple[Any, ...]
    prefixes: tuple[str, ...]
    head: str
    embedding: str


def build_empty(config: Mapping[str, Any]) -> EmptyModel:
    """Build the model that a configuration names.

    Args:
        config: ``config.json``; code that it names is never run.

    Raises:
        RefusedError: transformers cannot build it, or it does not predict a next token.
    """
    from accelerate import init_empty_weights

    with quiet():
        try:
            read = read_config(config)
        except UnknownModelError as unknown:
            raise _refused(str(unknown)) from unknown
        chosen, _ = class_for(read)
        if chosen is None or "auto_map" in config:
            raise _refused(f"{loader()} has no class for it{own_code(config)}")
        if getattr(read, "is_encoder_decoder", False):
            raise _refused("an encoder-decoder model does not continue a text")
        # Experts one after the other, as products of matrices that are told apart.
        read._experts_implementation = "eager"
        read.dtype = torch.float32
        try:
            with init_empty_weights(include_buffers=False):
                model = chosen(read).eval()
        except Exception as error:
            raise _refused(f"{loader()} cannot build it: {' '.join(str(error).split())}") from error
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or embedding is None:
        raise _refused(f"{type(model).__name__} predicts no next token")
    name, blocks = _blocks(model, read.get_text_config(decoder=True).num_hidden_layers)
    names = {module: found for found, module in model.named_modules()}
    return EmptyModel(
        model=model,
        blocks=tuple(blocks),
        prefixes=tuple(f"{name}.{number}." for number in range(len(blocks))),
        head=names[head],
        embedding=f"{names[embedding]}.weight",
    )


def _blocks(model: Any, count: int) -> tuple[str, Any]:
    """Return the list of the decoder's layers with its name."""
    inside = {id(module) for module in model.get_decoder().modules()}
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) == count and id(module) in inside
    ]
    if not lists:
        raise _refused(f"the layers of {type(model).__name__} are in no list of {count}")
    return min(lists, key=lambda found: found[0].count("."))


def _refused(what: str) -> RefusedError:
    return RefusedError(
        f"the model cannot be computed with here: {what}",
        next="pip install -U transformers, if it is new; formats that need no data need none of it",
    )
