"""Tensor names that engines do not load, where a trainer saved others than the released ones.

transformers 5 holds many models under other names than those of their files, and a state dict that
a trainer writes by itself has them (https://github.com/allenai/open-instruct/pull/1820). vLLM's own
``load_weights`` was run with both on small models of 40 architectures, on a processor; what is not
listed here loads, to the same bits, or was not tried. SGLang's modules were read: those listed map
single experts, and leave out with a warning what they do not find.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_FUSED = r"\.experts\.(gate_up_proj|down_proj)$"
_SINGLE = r"\.experts\.\d+\."
_MOVED = r"^model\.layers\.\d+\.mlp\."
_TOWER = r"(^|\.)vision_tower\.(?!vision_model\.)"

_UNREAD: Mapping[str, Mapping[str, str]] = {
    # It holds the experts of a layer in one parameter, and has no mapping from single ones, which
    # compressed-tensors has. Its own loading says so; vLLM's loads both.
    "transformers": {
        "Gemma4ForCausalLM": _SINGLE,
        "Gemma4ForConditionalGeneration": _SINGLE,
        "GraniteMoeForCausalLM": _SINGLE,
        "Qwen3VLMoeForConditionalGeneration": _SINGLE,
    },
    "vLLM": {
        "DeepseekV2ForCausalLM": _FUSED,
        "DeepseekV3ForCausalLM": _FUSED,
        "Ernie4_5_MoeForCausalLM": r"\.mlp\.gate\.moe_statics\.",
        # It is left out without a word, and keeps what was in memory.
        "ExaoneMoeForCausalLM": r"\.mlp\.gate\.e_score_correction_bias$",
        "Gemma3ForConditionalGeneration": _TOWER,
        "Glm4MoeLiteForCausalLM": _FUSED,
        "GraniteMoeHybridForCausalLM": _FUSED,
        "LongcatFlashForCausalLM": _FUSED,
        "MiniMaxM2ForCausalLM": _MOVED,
        "MixtralForCausalLM": _MOVED,
        # What save_pretrained of transformers 5 writes: here the names of memory are the released
        # ones. https://github.com/allenai/open-instruct/pull/1820
        "OlmoHybridForCausalLM": r"\.(attention|feedforward)_layer_norm\.weight$",
        "PaliGemmaForConditionalGeneration": _TOWER,
    },
    "SGLang": {
        "MixtralForCausalLM": _MOVED,
        "OlmoeForCausalLM": _FUSED,
        "Qwen2MoeForCausalLM": _FUSED,
        "Qwen3MoeForCausalLM": _FUSED,
        "Qwen3NextForCausalLM": _FUSED,
    },
}
"""By engine and architecture."""

_SINGLE_EXPERTS = (
    "DeepseekV3ForCausalLM",
    "Gemma4ForCausalLM",
    "Gemma4ForConditionalGeneration",
    "Glm4MoeForCausalLM",
    "GraniteMoeForCausalLM",
    "Llama4ForCausalLM",
    "Llama4ForConditionalGeneration",
    "OlmoeForCausalLM",
    "Qwen2MoeForCausalLM",
    "Qwen3MoeForCausalLM",
    "Qwen3NextForCausalLM",
    "Qwen3VLMoeForConditionalGeneration",
    "Qwen3_5MoeForCausalLM",
    "Qwen3_5MoeForConditionalGeneration",
)
"""Architectures whose experts vLLM loads as ``experts.3.gate_proj``, also where files have them in
one tensor for a layer. Its ``load_weights`` was run with them; SGLang's mapping was read. Not
gpt-oss: both leave single experts of compressed-tensors out of it without a word."""

_NOT_RENAMED = ("OlmoHybridForCausalLM",)
"""Architectures that ``--merged-names original`` does not help: transformers' own reverse
conversion writes those names."""


def unread(engine: str, architectures: Iterable[str], names: Iterable[str]) -> str:
    """Return a stored name that an engine does not load, "" where there is none.

    Args:
        engine: Such as ``vLLM``.
        architectures: Of ``config.json``.
        names: Of the stored tensors.
    """
    table = _UNREAD.get(engine, {})
    patterns = [table[name] for name in architectures if name in table]
    return next((n for n in names if any(re.search(p, n) for p in patterns)), "")


def unread_by_any(architectures: Iterable[str], names: Iterable[str]) -> str:
    """Return a stored name that some engine that was looked at does not load, "" for none."""
    known, stored = tuple(architectures), tuple(names)
    return next((found for engine in _UNREAD if (found := unread(engine, known, stored))), "")


def takes_single_experts(architectures: Iterable[str]) -> bool:
    """Return whether engines load the experts of a model one by one, as gate, up and down.

    Args:
        architectures: Of ``config.json``.
    """
    return any(name in _SINGLE_EXPERTS for name in architectures)


def mends(architectures: Iterable[str]) -> bool:
    """Return whether ``--merged-names original`` gives tensors the names that engines load."""
    return not any(name in _NOT_RENAMED for name in architectures)
