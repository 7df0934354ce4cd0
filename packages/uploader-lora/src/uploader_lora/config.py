"""What an adapter does to its base, as ``adapter_config.json`` says it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterConfig:
    """The flags that decide what an adapter does to its base.

    Attributes:
        base_model: Base model as the trainer named it: a Hub id, a path, or None.
        revision: Commit or branch of the base, when recorded.
        peft_version: PEFT that saved it, when recorded.
        task_type: Such as ``CAUSAL_LM``.
        r: Rank where ``rank_pattern`` says nothing.
        lora_alpha: Numerator of the scale where ``alpha_pattern`` says nothing.
        use_rslora: Divide by the square root of the rank.
        use_dora: Magnitudes are stored beside the low-rank matrices.
        lora_bias: The B matrices have biases.
        bias: ``none``, ``all`` or ``lora_only``: which base biases were trained.
        fan_in_fan_out: The last adapted layer stores its weight as (in, out).
        rank_pattern: Rank by module name or regular expression.
        alpha_pattern: Alpha in the same way.
        modules_to_save: Modules that are stored whole.
        trainable_tokens: Row numbers by embedding module; the key None is the input embedding.
        target_parameters: Parameters that were adapted directly (fused experts).
        layer_replication: Ranges of base layers that were stacked, or None.
        initialisation: Name of an initialisation that changed the base weights (``pissa``, ...),
            or None.
        expert_packing: How B of fused experts is packed: ``peft`` (expert fastest) or ``unsloth``
            (expert slowest), or None when the file does not say.
        tied: The adapter keeps tied embeddings tied (``ensure_weight_tying``).
        raw: The whole file.
    """

    base_model: str | None
    revision: str | None
    peft_version: str | None
    task_type: str | None
    r: int
    lora_alpha: float
    use_rslora: bool
    use_dora: bool
    lora_bias: bool
    bias: str
    fan_in_fan_out: bool
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    modules_to_save: tuple[str, ...]
    trainable_tokens: Mapping[str | None, tuple[int, ...]]
    target_parameters: tuple[str, ...]
    layer_replication: tuple[tuple[int, int], ...] | None
    initialisation: str | None
    expert_packing: str | None
    tied: bool
    raw: Mapping[str, Any]

    def ranks(self, module: str) -> tuple[int, ...]:
        """Return the ranks that ``rank_pattern`` allows for a module, the likeliest first."""
        return tuple(_matches(self.rank_pattern, module)) or (self.r,)

    def alphas(self, module: str) -> tuple[float, ...]:
        """Return the alphas that ``alpha_pattern`` allows for a module, the likeliest first.

        More than one means that the file does not say: in training the first key that matches
        counts, and PEFT sorts the keys when it saves.
        """
        return tuple(_matches(self.alpha_pattern, module)) or (self.lora_alpha,)

    def scale(self, rank: int, alpha: float) -> float:
        """Return what the product of B and A is multiplied with.

        ``alpha / r``, or ``alpha / sqrt(r)`` with rsLoRA (https://arxiv.org/abs/2312.03732).
        """
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


def _matches(pattern: Mapping[str, _T], module: str) -> list[_T]:
    """Return the different values of a pattern that fit a module.

    The rule is ``get_pattern_key`` of peft/utils/other.py: a key matches the end of the path, and
    the first one counts. Keys that are not sorted were not saved by PEFT, so their order is real.
    """
    values = [v for key, v in pattern.items() if re.match(rf"(.*\.)?({key})$", module)]
    if list(pattern) != sorted(pattern):
        values = values[:1]
    return list(dict.fromkeys(values))
