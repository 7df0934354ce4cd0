"""Stacked layers (``layer_replication``): a deeper model from ranges of the base's layers.

In training the copies of a layer share their base weights and have a low-rank change of their own.
The merged model has every layer in full, so its configuration says how many there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from uploader_core.plugin import SourceError
from uploader_lora import StoredTensor
from uploader_merged.base.model import BaseModel

_LAYER = re.compile(r"(?P<before>(?:\w+\.)*?(?:layers|layer|h)\.)(?P<number>\d+)(?P<after>\..+)")
_COUNTS = ("num_hidden_layers", "n_layer", "num_layers")


def replicate(base: BaseModel, ranges: tuple[tuple[int, int], ...]) -> BaseModel:
    """Return the base with its layers stacked as the adapter's configuration says.

    Args:
        base: The base as it is on disk.
        ranges: [start, end) of base layers, one after the other.

    Raises:
        SourceError: The base has fewer layers, or layers that are not known here.
    """
    order = [number for start, end in ranges for number in range(start, end)]
    stacks: dict[str, dict[int, dict[str, StoredTensor]]] = {}
    tensors: dict[str, StoredTensor] = {}
    for name, tensor in base.tensors.items():
        match = _LAYER.fullmatch(name)
        if match is None:
            tensors[name] = tensor
        else:
            layers = stacks.setdefault(match["before"], {})
            layers.setdefault(int(match["number"]), {})[match["after"]] = tensor
    if len(stacks) != 1:
        _refuse(base, "has no single stack of layers", ranges)
    ((before, layers),) = stacks.items()
    if max(order) >= len(layers):
        _refuse(base, f"has {len(layers)} layers", ranges)
    for position, number in enumerate(order):
        for after, tensor in layers[number].items():
            tensors[f"{before}{position}{after}"] = tensor
    return replace(base, tensors=tensors)


def replicated_config(
    config: Mapping[str, Any], ranges: tuple[tuple[int, int], ...]
) -> dict[str, Any]:
    """Return the configuration of the deeper model; lists with an entry for each layer follow."""
    order = [number for start, end in ranges for number in range(start, end)]
    before = next((config[key] for key in _COUNTS if key in config), None)
    changed = dict(config)
    for key, value in config.items():
        if key in _COUNTS:
            changed[key] = len(order)
        elif isinstance(value, list) and len(value) == before and key.startswith("layer"):
            changed[key] = [value[number] for number in order]
    return changed


def _refuse(base: BaseModel, what: str, ranges: tuple[tuple[int, int], ...]) -> NoReturn:
    raise SourceError(
        f"the base {what}, and layer_replication is {[list(r) for r in ranges]}",
        owner=str(base.folder),
        safe="nothing was written",
        next="add --base PATH_OR_ID with the model that the adapter was trained on",
    )
