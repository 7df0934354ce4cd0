"""The section of a card about the training, and the picture of its loss."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec

from uploader_core.plugin import Json, Lineage
from uploader_hf.model_card.markdown import code, plain

CURVE = "training_loss.png"

_SETTINGS: Mapping[str, str] = {
    "trainer": "trainer",
    "method": "method",
    "training_method": "method",
    "num_train_epochs": "epochs",
    "epochs": "epochs",
    "max_steps": "steps, at most",
    "learning_rate": "learning rate",
    "lr": "learning rate",
    "lr_scheduler_type": "schedule",
    "warmup_ratio": "warm-up ratio",
    "warmup_steps": "warm-up steps",
    "optim": "optimiser",
    "optimizer": "optimiser",
    "weight_decay": "weight decay",
    "per_device_train_batch_size": "batch size per device",
    "batch_size": "batch size",
    "effective_batch_size": "effective batch size",
    "gradient_accumulation_steps": "gradient accumulation steps",
    "max_seq_length": "longest sequence",
    "max_length": "longest sequence",
    "packing": "packing",
    "beta": "beta",
    "desirable_weight": "desirable weight",
    "undesirable_weight": "undesirable weight",
    "load_in_4bit": "base in 4 bit while training",
    "seed": "seed",
    "examples": "examples",
    "num_examples": "examples",
    "train_samples": "examples",
    "dataset_size": "examples",
}
_METHOD: Mapping[str, str] = {
    "peft_type": "adapter",
    "r": "rank",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "use_rslora": "rank-stabilised (rsLoRA)",
    "use_dora": "DoRA",
    "target_modules": "modules",
    "modules_to_save": "modules trained in full",
}
_RESULTS: Mapping[str, str] = {
    "steps": "steps",
    "epochs": "epochs",
    "loss": "final loss",
    "final_loss": "final loss",
    "train_loss": "mean loss",
    "eval_loss": "evaluation loss",
    "eval_accuracy": "evaluation accuracy",
    "perplexity": "perplexity",
    "train_runtime": "time",
}
_ADAPTERS = {"LORA": "LoRA", "LOHA": "LoHa", "LOKR": "LoKr", "ADALORA": "AdaLoRA"}
_NAMES = {"gpu", "gpus", "gpu_name", "gpu_names", "gpu_model", "device_name"}


def section(lineage: Lineage, *, has_curve: bool) -> str:
    """Return Markdown, "" when nothing is known.

    Args:
        lineage: What is known, redacted already.
        has_curve: Whether :data:`CURVE` is next to the card.
    """
    method = {k: v for k, v in lineage.method.items() if v is not False}
    if isinstance(kind := method.get("peft_type"), str):
        method["peft_type"] = _ADAPTERS.get(kind, kind)
    if isinstance(modules := method.get("target_modules"), list):
        method["target_modules"] = _short(modules)
    results: dict[str, Json] = {**lineage.results}
    if (seconds := lineage.results.get("train_runtime")) is not None:
        results["train_runtime"] = str(timedelta(seconds=round(seconds)))
    rows = [
        *_rows(method, _METHOD),
        *_rows(lineage.training, _SETTINGS),
        *_rows(results, _RESULTS),
    ]
    table: dict[str, str] = {}
    for name, value in rows:
        table.setdefault(name, value)
    parts = []
    if table:
        lines = [
            "| setting | value |",
            "| --- | --- |",
            *(f"| {k} | {v} |" for k, v in table.items()),
        ]
        parts.append("\n".join(lines))
    if has_curve:
        parts.append(f"![loss by step]({CURVE})")
    if lineage.datasets:
        links = [f"[{plain(d)}](https://huggingface.co/datasets/{d})" for d in lineage.datasets]
        parts.append(f"Data: {', '.join(links)}.")
    if lineage.hardware:
        told = [
            _value(value) if name in _NAMES else f"{plain(name.replace('_', ' '))} {_value(value)}"
            for name, value in lineage.hardware.items()
        ]
        parts.append(f"Hardware: {', '.join(told)}.")
    if lineage.software:
        told = [f"{plain(name)} {plain(version)}" for name, version in lineage.software.items()]
        parts.append(f"Software: {', '.join(told)}.")
    if parts:
        parts.append("All that is known is in [`training_lineage.json`](training_lineage.json).")
    return "\n\n".join(parts)


def curve(lineage: Lineage) -> bytes | None:
    """Draw loss by step as PNG; None with fewer than two points, or without matplotlib."""
    found = {
        name: [(entry["step"], entry[key]) for entry in lineage.history if key in entry]
        for key, name in (("loss", "training"), ("eval_loss", "evaluation"))
    }
    if len(found["training"]) < 2 or find_spec("matplotlib") is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for (name, points), look in zip(found.items(), ("-", "o-"), strict=True):
        if points:
            axes.plot(*zip(*points, strict=True), look, label=name, markersize=4, linewidth=1.6)
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if found["evaluation"]:
        axes.legend(frameon=False)
    memory = io.BytesIO()
    # The same data gives the same bytes.
    figure.savefig(memory, format="png", metadata={"Software": None})
    return memory.getvalue()


def _rows(values: Mapping[str, Json], names: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(names[key], _value(values[key])) for key in names if key in values]


def _short(modules: list[Json]) -> list[Json]:
    """Return names of modules without the layers that they are in, each once.

    peft writes ``model.layers.0.mlp.up_proj`` and so on where all linear layers were asked for.
    """
    return [*dict.fromkeys(sorted(str(name).rsplit(".", 1)[-1] for name in modules))]


def _value(value: Json) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(code(str(item)) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{code(str(k))}: {_value(v)}" for k, v in value.items())
    return plain(str(value))
