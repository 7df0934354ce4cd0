"""How a weight is stored: (out, in), or (in, out) as in the Conv1D layers of GPT-2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# Model types of transformers whose blocks are made of its Conv1D, and the layers that are.
_CONV1D_MODELS = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer"}
_CONV1D_LAYERS = {"c_attn", "c_proj", "c_fc", "q_attn"}


def is_transposed(
    module: str,
    stored: tuple[int, ...],
    made_for: tuple[int, int],
    config: Mapping[str, Any],
    flag: bool,
) -> bool | None:
    """Return whether a weight is stored as (in, out).

    PEFT decides by the class of the layer, which a folder of tensors does not say. Shapes decide
    where they can; square weights are known for the model types whose layers are known here.
    PEFT's own flag ``fan_in_fan_out`` is that of the last layer which it adapted.

    Args:
        module: Path of the layer.
        stored: Shape of the base's weight.
        made_for: (out, in) of the low-rank matrices.
        config: The base's configuration.
        flag: ``fan_in_fan_out`` of the adapter.

    Returns:
        True or False, or None when it fits neither way or nobody can tell.
    """
    if len(stored) != 2 or made_for[0] != made_for[1]:
        fits = {stored == made_for: False, stored == made_for[::-1]: True}
        return fits.get(True)
    if stored != made_for:
        return None
    if config.get("model_type") in _CONV1D_MODELS:
        return is_conv1d(module, config)
    return None if flag else False


def is_conv1d(module: str, config: Mapping[str, Any]) -> bool:
    """Return whether a layer is known to be one of transformers' Conv1D."""
    known = config.get("model_type") in _CONV1D_MODELS
    return known and module.rpartition(".")[2] in _CONV1D_LAYERS


def describe(stored: Iterable[int]) -> str:
    """Return a shape for a message (``80 x 48``)."""
    return " x ".join(str(n) for n in stored)
