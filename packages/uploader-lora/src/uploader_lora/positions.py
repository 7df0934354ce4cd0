"""Positions that training stretched: what a ``config.json`` next to an adapter says of RoPE.

Long-context training changes ``rope_scaling`` or ``rope_theta`` of the base and saves a LoRA.
``adapter_config.json`` has no place for that; LongLoRA, axolotl and others leave the model's
configuration next to it (https://github.com/JIA-Lab-research/LongLoRA/pull/178). On the base's own
positions such an adapter computes something else, at every length.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploader_lora.stored import read_json

KEYS = ("rope_parameters", "rope_scaling", "rope_theta", "max_position_embeddings")
"""Keys of ``config.json`` that are about positions."""
# transformers 5 writes the other name of each, and calls mrope's type the default.
_TYPES = {"su": "longrope", "mrope": "default"}


def trained_positions(adapter: Path, base: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the settings of positions that an adapter was trained with, where not the base's.

    Transformers 4 and 5 write the same settings under different names, and 5 fills in defaults, so
    only what both files say is compared.

    Args:
        adapter: Folder of the adapter.
        base: ``config.json`` of the base model.

    Returns:
        Keys of ``config.json`` (of its ``text_config``, where there is one) as they have to be;
        None when nothing next to the adapter says anything else than the base.

    Raises:
        SourceError: ``config.json`` next to the adapter cannot be read.
    """
    path = adapter / "config.json"
    if not path.is_file():
        return None
    theirs, ours = text_part(read_json(path)), text_part(base)
    if theirs.get("model_type") != ours.get("model_type"):
        return None
    trained, before = _rope(theirs), _rope(ours)
    if all(trained[key] == before[key] for key in trained.keys() & before.keys()):
        return None
    return {key: theirs[key] for key in KEYS if theirs.get(key) is not None}


def with_positions(config: Mapping[str, Any], positions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the settings of :func:`trained_positions` in it."""
    text = config.get("text_config")
    if isinstance(text, dict):
        return {**config, "text_config": with_positions(text, positions)}
    kept = {key: value for key, value in config.items() if key not in KEYS}
    return {**kept, **positions}


def describe_positions(config: Mapping[str, Any]) -> str:
    """Say in words how positions are encoded: ``rope linear, factor 4.0, theta 10000.0``."""
    rope = _rope(text_part(config))
    more = [f"{key} {rope[key]}" for key in ("factor", "theta") if key in rope]
    return ", ".join([f"rope {rope.get('type', 'by kind of layer')}", *more])


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration of the language model, which is a part in models of several."""
    text = config.get("text_config")
    return text if isinstance(text, dict) else config


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of RoPE under one name each."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, dict):
        return {"type": "default"}
    if any(isinstance(value, dict) for value in found.values()):
        return dict(found)  # by the kind of layer (Gemma 3); transformers 4 has other keys for it
    kind = str(found.get("rope_type", found.get("type", "default")))
    rope = {"type": _TYPES.get(kind, kind)}
    rope |= {k: v for k, v in found.items() if k not in ("rope_type", "type", "rope_theta")}
    theta = found.get("rope_theta", config.get("rope_theta"))
    return rope if theta is None else {**rope, "theta": float(theta)}
