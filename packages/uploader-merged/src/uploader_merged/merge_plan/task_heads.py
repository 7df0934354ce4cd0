"""The head of a task that the base does not have: a classifier trained on a language model.

PEFT stores such a head whole. In transformers the class of the task has the language model's
tensors under the same names, ``score`` beside them, and no ``lm_head``
(``GenericForSequenceClassification`` and ``GenericForTokenClassification`` of
transformers/modeling_layers.py, 5.24). Heads of other classes have parts that are not stored or
other names, so they are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uploader_core.plugin import SourceError
from uploader_lora import Adapter, FullTensor, read_json
from uploader_lora.companions import companion_files
from uploader_lora.targets import TASK_HEADS, is_saved
from uploader_lora.tokens import read_token_ids
from uploader_merged.base.model import BaseModel
from uploader_merged.base.names import TensorNames

_CAUSAL = "ForCausalLM"
_CLASSES = {"SEQ_CLS": "ForSequenceClassification", "TOKEN_CLS": "ForTokenClassification"}
_PARAMETERS = {"SEQ_CLS": {"score.weight"}, "TOKEN_CLS": {"score.weight", "score.bias"}}
GENERIC = (
    *("Gemma", "Gemma2", "Llama", "Mistral", "Mixtral", "Phi3", "Qwen2", "Qwen2Moe", "Qwen3"),
    *("Qwen3Moe", "SmolLM3", "Starcoder2"),
)
"""Families whose classes of both tasks are the generic ones."""

_PLAIN = {"classifier.weight", "classifier.bias"}
_DEEP = {
    f"classifier.{layer}.{part}" for layer in ("dense", "out_proj") for part in ("weight", "bias")
}
_PRE = {"pre_classifier.weight", "pre_classifier.bias"}
ENCODERS: dict[str, tuple[str, dict[str, set[str]]]] = {
    "Bert": ("bert", {"SEQ_CLS": _PLAIN, "TOKEN_CLS": _PLAIN}),
    "Roberta": ("roberta", {"SEQ_CLS": _DEEP, "TOKEN_CLS": _PLAIN}),
    "XLMRoberta": ("roberta", {"SEQ_CLS": _DEEP, "TOKEN_CLS": _PLAIN}),
    "DistilBert": ("distilbert", {"SEQ_CLS": _PLAIN | _PRE, "TOKEN_CLS": _PLAIN}),
}
"""Encoders: what the class of a task calls the model in it, and the tensors of its head."""
_POOLED = ("Bert", "SEQ_CLS")
"""The one of them that goes through the base's pooler."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewHead:
    """A head that the base lacks.

    Attributes:
        tensors: Of the adapter.
        config: ``config.json`` of the model with the head.
    """

    tensors: tuple[FullTensor, ...]
    config: dict[str, Any]


def for_task(base: BaseModel, adapters: Sequence[Adapter]) -> BaseModel:
    """Return an encoder under the names that it has in the class of the adapter's task.

    A base model is saved without the name that it has inside of such a class
    (``encoder.layer.0`` for ``bert.encoder.layer.0``), and with parts that the class lacks.
    """
    family = _encoder(base.config)
    tasks = {str(adapter.config.task_type) for adapter in adapters}
    if family is None or len(tasks) != 1 or not tasks <= _CLASSES.keys():
        return base
    start = ENCODERS[family][0] + "."
    pooled = (family, *tasks) == _POOLED
    tensors = {
        name if name.startswith(start) else start + name: t for name, t in base.tensors.items()
    }
    parts = ("embeddings.", "encoder.", "transformer.", *(("pooler.",) if pooled else ()))
    kept = {n: t for n, t in tensors.items() if n.removeprefix(start).startswith(parts)}
    return replace(base, tensors=kept)


def _encoder(config: Mapping[str, Any]) -> str | None:
    """Return the family of an encoder without a task's head, or None."""
    cls = str((config.get("architectures") or [""])[0])
    family = cls.removesuffix("Model").removesuffix("ForMaskedLM")
    return family if family in ENCODERS and family != cls else None


def find_new_head(
    base: BaseModel, adapter: Adapter, names: TensorNames, config: Mapping[str, Any]
) -> NewHead | None:
    """Return the head of the adapter's task when the base lacks it; None when it has it.

    Args:
        base: The base.
        adapter: Whose task it is.
        names: Of the base's tensors.
        config: Of the model so far.

    Raises:
        SourceError: The base lacks it, and it is not known how the model with it looks.
    """
    task = str(adapter.config.task_type)
    expected = TASK_HEADS.get(task, ())
    heads = [f for f in adapter.replacements if any(is_saved(f.module, n) for n in expected)]
    missing = tuple(f for f in heads if names.find(f.module, f.parameter) is None)
    cls = str((config.get("architectures") or ["unknown class"])[0])
    if not expected or (heads and not missing):
        return None
    if not heads:
        if cls.endswith(_CAUSAL):
            raise _refusal(adapter, base, f"neither the adapter nor the base ({cls}) has a head")
        return None
    family = _encoder(config) or cls.removesuffix(_CAUSAL)
    stored = {f"{full.module}.{full.parameter}" for full in missing}
    width = config.get("hidden_size", config.get("dim"))
    fits = all(full.tensor.shape[1:] in ((), (width,)) for full in missing)
    wanted = _PARAMETERS.get(task) if cls.endswith(_CAUSAL) and family in GENERIC else None
    if family in ENCODERS:
        wanted = ENCODERS[family][1].get(task)
    pooled = (family, task) != _POOLED or names.find("bert.pooler.dense") is not None
    if wanted is None or stored != wanted or not fits or not pooled:
        raise _refusal(
            adapter,
            base,
            f"the adapter brings its head ({missing[0].module}), and the base is {cls}",
        )
    last = next(f for f in missing if f.module in ("score", "classifier", "classifier.out_proj"))
    labels = last.tensor.shape[0]
    changed = {**config, "architectures": [family + _CLASSES[task]]}
    changed |= _labels(adapter.folder, config, labels)
    pad = _pad_token(adapter.folder, base.folder)
    if pad is not None and family not in ENCODERS:
        # A classifier of sequences looks at the last token that is none.
        changed["pad_token_id"] = pad
    return NewHead(tensors=missing, config=changed)


def _labels(folder: Path, config: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return what the labels are called: as a configuration of adapter or base says."""
    beside = folder / "config.json"
    for known in (read_json(beside) if beside.is_file() else {}, config):
        names = known.get("id2label")
        if isinstance(names, dict) and len(names) == count:
            keys = ("id2label", "label2id", "problem_type")
            return {key: known[key] for key in keys if known.get(key)}
    names = {str(n): f"LABEL_{n}" for n in range(count)}
    return {"id2label": names, "label2id": {name: int(n) for n, name in names.items()}}


def _pad_token(*folders: Path) -> int | None:
    for folder in folders:
        tokens = read_token_ids(companion_files(folder))
        if tokens is not None:
            return tokens.ids.get(tokens.named.get("pad_token", ""))
    return None


def _refusal(adapter: Adapter, base: BaseModel, why: str) -> SourceError:
    task = adapter.config.task_type
    return SourceError(
        f"the adapter was trained for {task}, a task with a head of its own: {why}",
        owner=f"{adapter.folder} on {base.folder}",
        safe="nothing was written",
        next="add --base PATH with the model that the training began with, saved with its head "
        "(AutoModelForSequenceClassification and kin), or merge in the training script and run: "
        "uploader run MERGED_FOLDER",
    )
