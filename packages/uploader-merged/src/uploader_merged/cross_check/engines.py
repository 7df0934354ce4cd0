"""Who merges: this package by streaming, or peft or Unsloth by loading the model, to cross-check.

An engine gets the planned checkpoint and a scratch folder, and leaves a merged model there. What it
made is then written and proved like every other merge, so an engine that merges differently fails
by name. Light: the libraries are imported when an engine runs, Unsloth before all others, as it
asks for.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import Finding, IntegrityError, RefusedError, parse_json
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.settings import STREAMING

if TYPE_CHECKING:
    import torch

Engine = Callable[[Checkpoint, Path], None]
"""(planned checkpoint, empty folder): fills the folder with the merged model."""

_NEEDS = {"peft": ("peft", "transformers", "accelerate"), "unsloth": ("unsloth",)}


def missing_packages(engine: str) -> list[str]:
    """Return what an engine needs and the environment lacks, without importing anything."""
    return [name for name in _NEEDS.get(engine, ()) if importlib.util.find_spec(name) is None]


def check_engine(engine: str, checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say before the run what an engine lacks or costs.

    Raises:
        RefusedError: Its packages are not installed, or it cannot do what was asked for.
    """
    if engine == STREAMING:
        return
    _require(engine)
    if not checkpoint.adapters:
        raise RefusedError(
            f"the engine {engine} merges an adapter, and this source has none",
            owner="option --merged-engine",
            next="--merged-engine streaming",
        )
    if engine == "unsloth" and len(checkpoint.adapters) > 1:
        raise RefusedError(
            "Unsloth merges one adapter, and several were given",
            owner="option --merged-engine",
            next="--merged-engine peft",
        )
    yield Finding(
        level="note",
        what=f"the engine {engine} loads the whole model; the streaming engine gives the same "
        "tensors in less time and memory",
        next="--merged-engine streaming",
    )


def merge_with(engine: str, checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    """Let another library merge.

    Args:
        engine: ``peft`` or ``unsloth``.
        checkpoint: What shall be merged.
        folder: Does not exist yet; filled with the library's own merged model.

    Returns:
        The merged model, opened, with exactly the tensors that were planned.

    Raises:
        RefusedError: Its packages are not installed, or Unsloth finds no GPU.
        IntegrityError: It made other tensors than planned.
    """
    _require(engine)
    run: Engine = {"peft": _peft, "unsloth": _unsloth}[engine]
    run(checkpoint, folder)
    merged = open_checkpoint(folder)
    planned = {name: checkpoint.shape(name) for name in checkpoint.names}
    made = {name: merged.shape(name) for name in merged.names}
    if planned != made:
        name = min(n for n in {*planned, *made} if planned.get(n) != made.get(n))
        raise IntegrityError(
            f"{engine} made {name} with the shape {made.get(name)}, and the plan is "
            f"{planned.get(name)}",
            owner=engine,
            safe="nothing of it was released",
            next="--merged-engine streaming",
        )
    return merged


def _require(engine: str) -> None:
    missing = missing_packages(engine)
    if missing:
        raise RefusedError(
            f"the engine {engine} needs {', '.join(missing)}",
            owner="option --merged-engine",
            safe="nothing was written",
            next=f"pip install 'uploader-merged[{engine}]', or --merged-engine streaming",
        )


def _peft(checkpoint: Checkpoint, folder: Path) -> None:
    """Load in float32, merge every adapter in order, save: no rounding but the last one."""
    import torch
    from peft import PeftModel

    model: Any = _load(checkpoint.base.folder, torch.float32)
    names = [f"adapter_{number}" for number in range(len(checkpoint.adapters))]
    for name, adapter in zip(names, checkpoint.adapters, strict=True):
        if isinstance(model, PeftModel):
            model.load_adapter(str(adapter.folder), adapter_name=name)
        else:
            model = PeftModel.from_pretrained(model, str(adapter.folder), adapter_name=name)
    _set_weights(model, names, checkpoint)
    merged = model.merge_and_unload(adapter_names=names)
    merged.save_pretrained(folder)


def _load(folder: Path, dtype: torch.dtype) -> Any:
    """Load a model as the class that its configuration names."""
    import transformers

    config = parse_json((folder / "config.json").read_text("utf-8"))
    for name in config.get("architectures") or ():
        if hasattr(transformers, name):
            return getattr(transformers, name).from_pretrained(
                folder, dtype=dtype, trust_remote_code=False
            )
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, trust_remote_code=False
    )


def _set_weights(model: Any, names: list[str], checkpoint: Checkpoint) -> None:
    """Scale adapters that were given a weight, as peft's own ``set_scale`` does."""
    from peft.tuners.lora import LoraLayer

    for module in model.modules():
        if not isinstance(module, LoraLayer):
            continue
        for name, adapter in zip(names, checkpoint.adapters, strict=True):
            if adapter.weight != 1 and name in module.scaling:
                module.set_scale(name, adapter.weight)


def _unsloth(checkpoint: Checkpoint, folder: Path) -> None:
    """Load base and adapter by Unsloth and save with its own merge (GPU)."""
    try:
        import unsloth
    except (ImportError, NotImplementedError, RuntimeError) as error:
        raise RefusedError(
            f"Unsloth does not start here: {error}",
            owner="unsloth, which needs a GPU",
            safe="nothing was written",
            next="--merged-engine streaming",
        ) from error
    (adapter,) = checkpoint.adapters
    # Unsloth takes the base from the adapter's configuration, so it gets a copy that names ours.
    copy = folder.with_name(folder.name + "-adapter")
    shutil.copytree(adapter.folder, copy)
    config = {**adapter.config.raw, "base_model_name_or_path": str(checkpoint.base.folder)}
    (copy / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    model, tokenizer = unsloth.FastLanguageModel.from_pretrained(
        model_name=str(copy),
        max_seq_length=2048,
        dtype=None,
        load_in_4bit=False,
        trust_remote_code=False,
    )
    model.save_pretrained_merged(str(folder), tokenizer, save_method="merged_16bit")
