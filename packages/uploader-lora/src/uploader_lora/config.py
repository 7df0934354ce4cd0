"""``adapter_config.json``: what PEFT's LoRA flags mean, and a refusal for every flag without one.

A flag that is skipped makes a model that is subtly wrong, so there are four groups: flags with a
meaning here, flags that only concerned training, flags that are refused by name, and everything
else, which is refused unless it is switched off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from uploader_core.plugin import SourceError
from uploader_lora.stored import read_json

_T = TypeVar("_T")

# Meaning: read into AdapterConfig below.
_READ = {
    "alpha_pattern",
    "base_model_name_or_path",
    "bias",
    "ensure_weight_tying",
    "fan_in_fan_out",
    "init_lora_weights",
    "layer_replication",
    "lora_B_layout",
    "lora_alpha",
    "lora_bias",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "r",
    "rank_pattern",
    "revision",
    "target_modules",
    "target_parameters",
    "task_type",
    "trainable_token_indices",
    "use_dora",
    "use_rslora",
}

# How training chose modules, initialised or regularised them. What was stored is what counts:
# merging follows the keys of the file and never resolves targets again.
_TRAINING_ONLY = {
    "auto_mapping",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "modules_to_tie",
    "qalora_group_size",
    "runtime_config",
    "target_modules_to_tie",
}

_REFUSED = {
    "alora_invocation_tokens": "an activated LoRA works on some tokens only and cannot be merged",
    "arrow_config": "Arrow routes between adapters at run time",
    "kasa_config": "KaSA also changes the base weights",
    "megatron_config": "adapters of Megatron's parallel layers are not read",
    "monteclora_config": "Monteclora samples weights at run time",
    "use_bdlora": "BD-LoRA stores block-diagonal matrices",
    "use_qalora": "QALoRA pools the inputs of quantised layers",
    "velora_config": "VeLoRA is not verified against its own merge",
}

_NOT_MERGED = {
    *("ADAPTION_PROMPT", "CARTRIDGE", "CPT", "MULTITASK_PROMPT_TUNING", "POLY", "PREFIX_TUNING"),
    *("PROMPT_TUNING", "P_TUNING", "XLORA"),
}
"""Types of PEFT that add inputs or routes and no change of weights."""

_MERGE_IT = (
    "merge it with the tool that trained it, and release the merged folder instead: "
    "uploader run MERGED_FOLDER"
)

_LARGEST_ALPHA = 1e9
_MOST_PATTERNS, _LONGEST_PATTERN = 20_000, 512
# ``(a+)+``, ``(.*a){25}``: matching such a one can take longer than anybody lives. A question mark
# behind a group is no repetition.
_REPEATS_REPEATS = re.compile(r"[*+}][^()]*\)+(?:[*+]|\{\d)|(?:[*+][^*+]*){4}")

_SAME_AS_LORA = {"gaussian", "eva", "loftq", "orthogonal"}
_CHANGED_BASE = re.compile(r"(pissa|pissa_niter_\d+|olora|corda|lora_ga)")


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


def read_config(file: Path) -> AdapterConfig:
    """Read ``adapter_config.json``.

    Raises:
        SourceError: Missing, malformed, not LoRA, or with a flag that has no meaning here.
    """
    return _Parser(file, read_json(file)).parse()


def _matches(pattern: Mapping[str, _T], module: str) -> list[_T]:
    """Return the different values of a pattern that fit a module.

    The rule is ``get_pattern_key`` of peft/utils/other.py: a key matches the end of the path, and
    the first one counts. Keys that are not sorted were not saved by PEFT, so their order is real.
    """
    values = [v for key, v in pattern.items() if re.match(rf"(.*\.)?({key})$", module)]
    if list(pattern) != sorted(pattern):
        values = values[:1]
    return list(dict.fromkeys(values))


class _Parser:
    """Takes one file apart; every complaint names the key and the PEFT version."""

    def __init__(self, file: Path, raw: dict[str, Any]) -> None:
        self._file = file
        self._raw = raw

    def parse(self) -> AdapterConfig:
        raw = self._raw
        kind = raw.get("peft_type")
        if kind != "LORA":
            self._refuse_type(kind)
        self._check_flags()
        return AdapterConfig(
            base_model=self._text("base_model_name_or_path"),
            revision=self._text("revision"),
            peft_version=self._text("peft_version"),
            task_type=self._text("task_type"),
            r=self._rank("r", raw.get("r", 8)),
            lora_alpha=self._number("lora_alpha", raw.get("lora_alpha", 8)),
            use_rslora=self._flag("use_rslora"),
            use_dora=self._flag("use_dora"),
            lora_bias=self._flag("lora_bias"),
            bias=self._bias(),
            fan_in_fan_out=self._flag("fan_in_fan_out"),
            rank_pattern={
                k: self._rank(f"rank_pattern[{k!r}]", v)
                for k, v in self._patterns("rank_pattern").items()
            },
            alpha_pattern={
                k: self._number(f"alpha_pattern[{k!r}]", v)
                for k, v in self._patterns("alpha_pattern").items()
            },
            modules_to_save=self._names("modules_to_save"),
            trainable_tokens=self._tokens(),
            target_parameters=self._names("target_parameters"),
            layer_replication=self._replication(),
            initialisation=self._initialisation(),
            expert_packing=self._expert_packing(),
            tied=self._flag("ensure_weight_tying"),
            raw=raw,
        )

    def _check_flags(self) -> None:
        for key, value in self._raw.items():
            if key in _READ or key in _TRAINING_ONLY or _is_off(value):
                continue
            if key in _REFUSED:
                self._refuse(f"{key} is set: {_REFUSED[key]}")
            self._refuse(f"{key} = {str(value)[:60]!r} is not known here, so it is not skipped")

    def _text(self, key: str) -> str | None:
        value = self._raw.get(key)
        if value is not None and not isinstance(value, str):
            self._refuse(f"{key} is no text")
        return value or None

    def _flag(self, key: str) -> bool:
        value = self._raw.get(key)
        if value is not None and not isinstance(value, bool):
            self._refuse(f"{key} is neither true nor false")
        return bool(value)

    def _rank(self, key: str, value: Any) -> int:
        if type(value) is not int or not 0 < value <= 1 << 20:
            self._refuse(f"{key} = {str(value)[:40]} is no rank")
        return value

    def _number(self, key: str, value: Any) -> float:
        if type(value) not in (int, float) or not abs(value) < _LARGEST_ALPHA:
            self._refuse(f"{key} = {str(value)[:40]} is no number")
        return float(value)

    def _bias(self) -> str:
        value = self._raw.get("bias") or "none"
        if value not in ("none", "all", "lora_only"):
            self._refuse(f"bias = {str(value)[:40]!r} is not none, all or lora_only")
        return str(value)

    def _patterns(self, key: str) -> dict[str, Any]:
        table = self._raw.get(key) or {}
        if not isinstance(table, dict):
            self._refuse(f"{key} is no table")
        if len(table) > _MOST_PATTERNS:
            self._refuse(f"{key} has {len(table):,} patterns")
        for pattern in table:
            shown = pattern[:80]
            if len(pattern) > _LONGEST_PATTERN:
                self._refuse(f"{key}[{shown!r}] has {len(pattern):,} characters")
            try:
                re.compile(rf"(.*\.)?({pattern})$")
            except (re.error, OverflowError, RecursionError) as error:
                self._refuse(f"{key}[{shown!r}] is no regular expression: {error}")
            if _REPEATS_REPEATS.search(pattern):
                self._refuse(f"{key}[{shown!r}] may take for ever: it repeats what repeats")
        return table

    def _names(self, key: str) -> tuple[str, ...]:
        value = self._raw.get(key) or []
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            self._refuse(f"{key} is no list of names")
        return tuple(value)

    def _tokens(self) -> dict[str | None, tuple[int, ...]]:
        value = self._raw.get("trainable_token_indices")
        if not value:
            return {}
        table: dict[str | None, Any] = value if isinstance(value, dict) else {None: value}
        for rows in table.values():
            if not isinstance(rows, list) or not all(type(r) is int and r >= 0 for r in rows):
                self._refuse("trainable_token_indices is no list of row numbers")
            if len(set(rows)) != len(rows):
                self._refuse("trainable_token_indices names a row twice")
        return {name: tuple(rows) for name, rows in table.items()}

    def _replication(self) -> tuple[tuple[int, int], ...] | None:
        value = self._raw.get("layer_replication")
        if not value:
            return None
        if not isinstance(value, list) or not all(
            isinstance(pair, list)
            and len(pair) == 2
            and all(type(end) is int for end in pair)
            and 0 <= pair[0] < pair[1]
            for pair in value
        ):
            self._refuse("layer_replication is no list of [start, end) pairs")
        return tuple((start, end) for start, end in value)

    def _initialisation(self) -> str | None:
        value = self._raw.get("init_lora_weights", True)
        if isinstance(value, bool) or value is None or str(value) in _SAME_AS_LORA:
            return None
        if not isinstance(value, str) or not _CHANGED_BASE.fullmatch(value):
            self._refuse(f"init_lora_weights = {str(value)[:40]!r} is not known here")
        return value

    def _expert_packing(self) -> str | None:
        """Find out who packed B of fused experts.

        Unsloth packed it with the expert slowest until unslothai/unsloth-zoo#1269, and marks newer
        files with ``lora_B_layout``. Nothing but the marker tells its older files from newer ones.
        """
        layout = self._raw.get("lora_B_layout")
        if layout is not None:
            if layout not in ("rank_major", "expert_major"):
                self._refuse(f"lora_B_layout = {str(layout)[:40]!r} is not known here")
            return "peft" if layout == "rank_major" else "unsloth"
        mapping = self._raw.get("auto_mapping")
        by_unsloth = isinstance(mapping, dict) and bool(mapping.get("unsloth_fixed"))
        base = str(self._raw.get("base_model_name_or_path") or "")
        return None if by_unsloth or base.lower().startswith("unsloth/") else "peft"

    def _refuse_type(self, kind: object) -> NoReturn:
        folder = str(self._file.parent)
        if isinstance(kind, str) and kind in _NOT_MERGED:
            following = f"it has no place in a model's own weights; hf upload USER/NAME {folder} "
            following += "sends it as it is, and PEFT loads it from there"
        else:
            following = (
                'merge it with PEFT: python -c "from peft import AutoPeftModelForCausalLM as M; '
                f"M.from_pretrained({folder!r}).merge_and_unload().save_pretrained({_merged(folder)!r})"
                f'", copy the tokenizer there, then: uploader run {_merged(folder)}'
            )
        self._refuse(f"peft_type is {kind!r}, and only LORA adapters are read", following)

    def _refuse(self, why: str, following: str = _MERGE_IT) -> NoReturn:
        version = self._raw.get("peft_version")
        saved = f"saved by peft {str(version)[:40]}" if version else "peft version not recorded"
        raise SourceError(
            f"the adapter cannot be used: {why} ({saved})",
            owner=str(self._file),
            safe="nothing was written",
            next=following,
        )


def _merged(folder: str) -> str:
    return f"{folder}-merged"


def _is_off(value: object) -> bool:
    """Return whether a flag has a value that switches it off, whatever it is."""
    return value is None or value is False or value in ("", [], {}, 0)
