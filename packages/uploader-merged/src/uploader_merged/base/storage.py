"""The type that ``config.json`` names against the types of the tensors.

transformers 5 loads in the type that the configuration names. float16 ends at 65504, so a model
that is stored in bfloat16 can become infinite there; the other differences cost memory or a few
bits, which is its owner's choice (float32 weights that are meant to run in 16 bits).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from uploader_lora import StoredTensor

_KEYS = ("dtype", "torch_dtype")


def is_narrower(config: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> bool:
    """Return whether a configuration names float16 for tensors that are all stored in bfloat16.

    Args:
        config: ``config.json``.
        tensors: All tensors by name. Those in float32, which some models keep on purpose, say
            nothing.
    """
    stored = {tensor.dtype for tensor in tensors.values()}
    return "BF16" in stored and "F16" not in stored and _widened(config) != config


def settled_dtype(
    config: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> Mapping[str, Any]:
    """Return a configuration that loads the tensors in a type that holds them."""
    return _widened(config) if is_narrower(config, tensors) else config


def _widened(config: Mapping[str, Any]) -> dict[str, Any]:
    changed = dict(config)
    for key, value in config.items():
        if key in _KEYS and value == "float16":
            changed[key] = "bfloat16"
        elif key.endswith("_config") and isinstance(value, dict):
            changed[key] = _widened(value)
    return changed
