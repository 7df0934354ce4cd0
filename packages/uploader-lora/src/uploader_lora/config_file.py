"""Read ``adapter_config.json``: values are checked, and flags without a meaning are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

from uploader_core.plugin import SourceError
from uploader_lora.config import AdapterConfig
from uploader_lora.config_flags import NOT_MERGED, READ, REFUSED, TRAINING_ONLY, is_off
from uploader_lora.stored import read_json

_LOADERS = {
    "CAUSAL_LM": "AutoPeftModelForCausalLM",
    "SEQ_2_SEQ_LM": "AutoPeftModelForSeq2SeqLM",
    "SEQ_CLS": "AutoPeftModelForSequenceClassification",
    "TOKEN_CLS": "AutoPeftModelForTokenClassification",
    "QUESTION_ANS": "AutoPeftModelForQuestionAnswering",
    "FEATURE_EXTRACTION": "AutoPeftModelForFeatureExtraction",
}
"""Classes of PEFT that load base and adapter with the head of the task."""

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


def read_config(file: Path) -> AdapterConfig:
    """Read ``adapter_config.json``.

    Raises:
        SourceError: Missing, malformed, not LoRA, or with a flag that has no meaning here.
    """
    return _Parser(file, read_json(file)).parse()


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
            if key in READ or key in TRAINING_ONLY or is_off(value):
                continue
            if key in REFUSED:
                self._refuse(f"{key} is set: {REFUSED[key]}")
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
        if isinstance(kind, str) and kind in NOT_MERGED:
            following = f"it has no place in a model's own weights; hf upload USER/NAME {folder} "
            following += "sends it as it is, and PEFT loads it from there"
        else:
            loader = _LOADERS.get(str(self._raw.get("task_type")), "AutoPeftModel")
            following = (
                f'merge it with PEFT: python -c "from peft import {loader} as M; '
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
