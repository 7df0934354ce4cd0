"""Names that a training script left in front of a model's own.

``torch.compile``, DDP, FSDP, activation checkpointing and PEFT put the model into a module of their
own, and saving that one instead of the model writes their name into every tensor's. transformers
loads none of these tensors, warns, and goes on with random weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from uploader_core.plugin import SourceError
from uploader_lora import StoredTensor
from uploader_lora.keys import PREFIX, WRAPPED_WHOLE, without_wrappers

# In front of every name, or they are the model's own.
_IN_FRONT = {**WRAPPED_WHOLE, PREFIX: "PEFT"}
# What is next to ``model.`` in a model with a head.
_HEADS = ("lm_head", "embed_out", "score", "classifier", "qa_outputs", "v_head")


def strip_wrappers(
    folder: Path, tensors: Mapping[str, StoredTensor]
) -> tuple[Mapping[str, StoredTensor], tuple[str, ...]]:
    """Return tensors by the names that the model itself gives them.

    Args:
        folder: Of the model, for the message.
        tensors: As their files name them.

    Returns:
        The tensors in the same order, and the wrappers that were taken off, each with whose it is
        (``_orig_mod. of torch.compile``); none for a folder that was saved as it should.

    Raises:
        SourceError: Two tensors would have one name.
    """
    names: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in tensors:
        names[name], taken = without_wrappers(name)
        found |= taken
    while (prefix := _prefix_of(list(names.values()))) is not None:
        found[prefix] = _IN_FRONT.get(prefix, "a module that holds the model as its model")
        names = {name: plain.removeprefix(prefix) for name, plain in names.items()}
    if not found:
        return tensors, ()
    plain: dict[str, StoredTensor] = {}
    for name, tensor in tensors.items():
        other = plain.get(names[name])
        if other is not None:
            first = next(n for n, p in names.items() if p == names[name])
            raise SourceError(
                f"{first} and {name} are both {names[name]} without what wrappers left in front",
                owner=str(tensor.file),
                safe="nothing was written",
                next="save the model itself: model.save_pretrained(FOLDER) of the unwrapped model",
            )
        plain[names[name]] = replace(tensor, name=names[name])
    return plain, tuple(f"{prefix} of {whose}" for prefix, whose in found.items())


def _prefix_of(names: list[str]) -> str | None:
    """Return the wrapper that is in front of every name, or None."""
    for prefix in _IN_FRONT:
        if names and all(name.startswith(prefix) for name in names):
            return prefix
    # A module whose attribute ``model`` is a whole causal language model: model.model.layers,
    # model.lm_head. transformers 5 finds its way through, vLLM and llama.cpp do not.
    doubled = any(name.startswith("model.model.") for name in names)
    inside = ("model.model.", *(f"model.{head}." for head in _HEADS))
    return "model." if doubled and all(name.startswith(inside) for name in names) else None
