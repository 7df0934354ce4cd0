"""What is worth knowing of a training, as ``training_lineage.json``.

Only named fields are read: a trainer's arguments also hold tokens, host names and paths.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import importlib_metadata

FILE = "training_lineage.json"
SCHEMA = "uploader.training-lineage/1"

_HYPERPARAMETERS = (
    "num_train_epochs", "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps",
    "warmup_ratio", "weight_decay", "optim", "per_device_train_batch_size",
    "gradient_accumulation_steps", "max_grad_norm", "seed", "bf16", "fp16",
    "neftune_noise_alpha", "label_smoothing_factor",
    # of TRL
    "max_length", "max_seq_length", "packing", "loss_type", "beta", "desirable_weight",
    "undesirable_weight",
)  # fmt: skip
_LORA = ("r", "lora_alpha", "lora_dropout", "target_modules", "use_rslora", "use_dora", "bias")
_LIBRARIES = (
    "accelerate", "bitsandbytes", "datasets", "peft", "torch", "transformers", "trl", "unsloth",
)  # fmt: skip
_METHODS = ("SFT", "KTO", "DPO", "ORPO", "CPO", "GRPO", "RLOO", "Reward")


def describe_training(
    args: Any,
    state: Any,
    *,
    model: Any = None,
    examples: int | None = None,
    dataset: str | None = None,
    started: float | None = None,
    finished: float | None = None,
) -> dict[str, Any]:
    """Describe a training as JSON.

    Args:
        args: transformers' ``TrainingArguments`` or TRL's configuration.
        state: transformers' ``TrainerState``.
        model: The trained model, for its base and its adapter.
        examples: Rows of the training data.
        dataset: Its name, as it may be published.
        started: Seconds since the epoch.
        finished: The same.

    Returns:
        The lineage; what is not known is absent.
    """
    lineage = {
        "schema": SCHEMA,
        **_base(model),
        "method": _method(args),
        "dataset": _known(name=dataset, examples=examples),
        "lora": _lora(model),
        "hyperparameters": _fields(args, _HYPERPARAMETERS),
        "results": _results(state, started, finished),
        "versions": _versions(),
        "hardware": _hardware(args),
        "started_at": _time(started),
        "finished_at": _time(finished),
    }
    return {key: value for key, value in lineage.items() if value not in (None, {}, "")}


def _known(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _base(model: Any) -> dict[str, Any]:
    """Name the base model; of a local folder only its name, which says nothing of the machine."""
    config = getattr(model, "config", None)
    name = getattr(config, "_name_or_path", None)
    if not isinstance(name, str) or not name:
        return {}
    local = name.startswith((".", "/", "~", "\\")) or Path(name).exists()
    revision = getattr(config, "_commit_hash", None)
    return _known(base_model=Path(name).name if local else name, base_revision=revision)


def _method(args: Any) -> str:
    name = type(args).__name__
    return next((m for m in _METHODS if name.lower().startswith(m.lower())), "fine-tuning")


def _lora(model: Any) -> dict[str, Any]:
    configs = getattr(model, "peft_config", None)
    if not isinstance(configs, Mapping) or not configs:
        return {}
    name = getattr(model, "active_adapter", None)
    config = configs.get(name) if isinstance(name, str) else None
    found = _fields(config or next(iter(configs.values())), _LORA)
    if isinstance(found.get("target_modules"), list):
        # peft has replaced "all-linear" by every single module; their kinds are what was meant.
        found["target_modules"] = sorted(
            {str(n).rsplit(".", 1)[-1] for n in found["target_modules"]}
        )
    return found


def _fields(thing: Any, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: _plain(getattr(thing, name, None)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: Any) -> Any:
    """Turn a value into JSON; None for what is none."""
    value = getattr(value, "value", value)  # an enumeration
    if isinstance(value, (set, frozenset)):
        value = sorted(value)
    if isinstance(value, (list, tuple)):
        return [v for v in map(_plain, value) if v is not None]
    return value if isinstance(value, (str, int, float, bool)) else None


def _results(state: Any, started: float | None, finished: float | None) -> dict[str, Any]:
    history = list(getattr(state, "log_history", None) or ())

    def last(key: str) -> Any:
        return next((_plain(row[key]) for row in reversed(history) if key in row), None)

    seconds = None if started is None or finished is None else round(finished - started, 3)
    epoch = getattr(state, "epoch", None)
    return _known(
        steps=getattr(state, "global_step", None),
        epochs=None if epoch is None else round(float(epoch), 4),
        final_loss=last("loss"),
        eval_loss=last("eval_loss"),
        train_runtime=seconds,
    )


def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _LIBRARIES:
        try:
            found[name] = importlib_metadata.version(name)
        except importlib_metadata.PackageNotFoundError:
            continue
    return found


def _hardware(args: Any) -> dict[str, Any]:
    # Only where torch has been imported anyway, as it has in a training.
    torch = sys.modules.get("torch")
    world = int(getattr(args, "world_size", 1) or 1)
    if torch is None or not torch.cuda.is_available():
        return {"device": "cpu", "cpu_count": os.cpu_count(), "world_size": world}
    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    memory = round(device.total_memory / 1e9, 1)
    return {"device": device.name, "gpu_memory_gb": memory, "world_size": world}


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
