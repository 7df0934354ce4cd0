"""``config.json`` as mlx-lm has to read it. No mlx.

mlx-lm goes on with defaults, without a word, where keys have names that it does not know. So what
transformers 5 writes under other names is said under the old ones as well: positions above all,
which would be those of another model.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from typing import Any

from uploader_core.plugin import SourceError
from uploader_lora import read_json
from uploader_merged import Checkpoint
from uploader_merged.base.stops import GENERATION
from uploader_merged.base.tying import FLAG

_LONG = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_TAG = "__float__"
_RENAMED = {"num_experts": "num_local_experts", "n_ctx": "n_positions"}
"""Keys of transformers 5 by those of transformers 4."""

_OF_ROPE = {
    "rope_theta": "rope_theta",
    "partial_rotary_factor": "partial_rotary_factor",
    # GPT-NeoX.
    "rotary_emb_base": "rope_theta",
    "rotary_pct": "partial_rotary_factor",
}
"""The same of what is in ``rope_parameters``."""


def for_mlx(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the configuration that goes beside an MLX model, without quantisation.

    Args:
        checkpoint: The model.

    Raises:
        SourceError: It says what mlx-lm has no words for.
    """
    config = copy.deepcopy(dict(checkpoint.config))
    stops = _generation(checkpoint).get("eos_token_id")
    if stops:
        config["eos_token_id"] = stops
    text = config.get("text_config")
    if isinstance(text, dict):
        # The outer flag is the one that counts, and mlx-lm's default is not transformers'.
        tied = {FLAG: config[FLAG]} if FLAG in config else {}
        config["text_config"] = {**_with_old_names(text), **tied}
        if config.get("model_type") == "gemma3" and "vocab_size" in text:
            # It takes the size of its own vocabulary from here, and not from the text's.
            config.setdefault("vocab_size", text["vocab_size"])
    return _with_old_names(config)


def with_floats(config: Any) -> Any:
    """Return a copy with transformers' ``{"__float__": "Infinity"}`` as numbers."""
    if isinstance(config, dict):
        if set(config) == {_TAG} and config[_TAG] in _LONG:
            return _LONG[config[_TAG]]
        return {key: with_floats(value) for key, value in config.items()}
    return [with_floats(value) for value in config] if isinstance(config, list) else config


def config_json(
    config: Mapping[str, Any], quantization: Mapping[str, Any] | None, *, vision: bool
) -> str:
    """Return the text that ``save_config`` of mlx_lm/utils.py writes.

    Args:
        config: Of :func:`for_mlx`.
        quantization: How it is quantised; None for 16 bits.
        vision: Whether mlx-lm keeps the tower for images.
    """
    unread = {"_name_or_path"} if vision else {"_name_or_path", "vision_config"}
    said = {key: value for key, value in config.items() if key not in unread}
    if quantization is not None:
        # The second name is the Hub's, for its tree of models.
        said |= {"quantization": quantization, "quantization_config": quantization}
    return json.dumps(dict(sorted(said.items())), indent=4)


def _generation(checkpoint: Checkpoint) -> Mapping[str, Any]:
    file = next((f for f in checkpoint.companions() if f.name == GENERATION), None)
    if file is None:
        return {}
    if file.text is not None:
        found: Mapping[str, Any] = json.loads(file.text)
        return found
    return read_json(file.path)


def _with_old_names(config: dict[str, Any]) -> dict[str, Any]:
    """Say what transformers 5 has other names for as transformers 4 does, besides."""
    said: dict[str, Any] = {
        old: config[new] for old, new in _RENAMED.items() if new in config and old not in config
    }
    rope = config.get("rope_parameters")
    if not isinstance(rope, dict):
        return {**said, **config}
    if any(isinstance(part, dict) for part in rope.values()):
        whole, sliding = (rope.get(f"{kind}_attention") or {} for kind in ("full", "sliding"))
        said |= _one_rope(whole)
        if "rope_theta" in sliding:
            said["rope_local_base_freq"] = sliding["rope_theta"]
        said |= _pattern(config.get("layer_types"))
    else:
        said |= _one_rope(rope)
    return {**said, **config}


def _one_rope(rope: Mapping[str, Any]) -> dict[str, Any]:
    said = {old: rope[new] for old, new in _OF_ROPE.items() if new in rope}
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind != "default":
        rest = {k: v for k, v in rope.items() if k not in said}
        said["rope_scaling"] = {**rest, "rope_type": kind, "type": kind}
    else:
        said["rope_scaling"] = None
    return said


def _pattern(layers: Any) -> dict[str, int]:
    """Return how often a layer sees everything: Gemma 3's old key.

    Raises:
        SourceError: It is not regular.
    """
    if not isinstance(layers, list) or "full_attention" not in layers:
        return {}
    every = layers.index("full_attention") + 1
    kinds = [
        "sliding_attention" if (number + 1) % every else "full_attention"
        for number in range(len(layers))
    ]
    if kinds != layers:
        raise SourceError(
            "layer_types in config.json are not regular, and mlx-lm knows nothing but every so "
            "many layers",
            owner="config.json",
            safe="nothing was written",
            next="leave mlx out of --plugins",
        )
    return {"sliding_window_pattern": every}
