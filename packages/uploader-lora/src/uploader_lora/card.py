"""The section of the model card that says how to load the adapter."""

from __future__ import annotations

import shlex
from pathlib import Path

from uploader_core.plugin import Artifact, ReleaseInfo, StepContext, UseContext, parse_json
from uploader_lora.snippets import loading, preparing
from uploader_lora.task import SENTENCES, Task, adapter_task

_RANKS = (32, 64, 128, 256, 320, 512)
"""What vLLM takes as the highest rank, beyond its default of 16."""


def section(context: StepContext) -> str:
    """Return Markdown; without a public base model it says which one is needed."""
    release = context.release
    base = release.base_model if release.base_is_hub_id else None
    name = context.model_id or release.name
    at = f', revision="{release.base_revision}"' if base and release.base_pinned else ""
    served: list[str] = []
    artifact = context.inputs[0] if context.inputs else None
    task = _task(context)
    if base and artifact is not None and _is_served(artifact, task):
        command = _serve(release, f"{release.name}={name}", artifact.path)
        served = ["", "With [vLLM](https://docs.vllm.ai):", "", f"    {command}"]
    return "\n".join(
        [
            "This is a LoRA adapter: it needs its base model"
            + (f", [{base}](https://huggingface.co/{base})." if base else "."),
            "",
            *_loading(task, base or "BASE_MODEL", at, name),
            *served,
        ]
    )


def _loading(task: Task, base: str, at: str, name: str) -> list[str]:
    """Return lines of Markdown: code that loads base and adapter, or which class is to be taken."""
    if task.library == SENTENCES:
        return loading(task, name)
    if task.auto_class is None:
        return [
            "Load the base with the class that `architectures` in its `config.json` names, then "
            "the adapter with `peft.PeftModel.from_pretrained`.",
        ]
    prepare = preparing(task)
    variable = "processor" if prepare == "AutoProcessor" else "tokenizer"
    return [
        "```python",
        "from peft import PeftModel",
        f"from transformers import {task.auto_class}, {prepare}",
        "",
        f'base = {task.auto_class}.from_pretrained("{base}"{at}, dtype="auto")',
        f'model = PeftModel.from_pretrained(base, "{name}")',
        f'{variable} = {prepare}.from_pretrained("{name}")',
        "```",
    ]


def _task(context: StepContext) -> Task:
    """Return what the adapter is for; the base's configuration says more than its own."""
    folder = context.inputs[0].path if context.inputs else context.sources.get("adapter")
    if folder is None or not (folder / "adapter_config.json").is_file():
        return Task()
    return adapter_task(folder, context.sources.get("base"))


def _is_served(artifact: Artifact, task: Task) -> bool:
    """Return whether vLLM loads it: plain low-rank matrices on a model that generates text."""
    features = artifact.metadata.get("features")
    return task.tag == "text-generation" and (
        not isinstance(features, list) or not {*map(str, features)} - {"rslora"}
    )


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to serve base and adapter; nothing where nobody else has the base."""
    task = Task.of(context.artifact.metadata)
    if not context.release.base_is_hub_id or not _is_served(context.artifact, task):
        return []
    place = context.published.get("hf") or str(context.artifact.path)
    module = f"{context.release.name}={place}"
    command = _serve(context.release, module, context.artifact.path)
    return [("vLLM, base and adapter", command)]


def _serve(release: ReleaseInfo, module: str, folder: Path) -> str:
    """Return the command; vLLM wants to be told of ranks above 16, and of a pinned revision."""
    rank = _rank(folder)
    fitting = next((allowed for allowed in _RANKS if rank <= allowed), rank)
    more = f" --max-lora-rank {fitting}" if rank > 16 else ""
    at = f" --revision {release.base_revision}" if release.base_pinned else ""
    base, module = shlex.quote(str(release.base_model)), shlex.quote(module)
    return f"vllm serve {base}{at} --enable-lora{more} --lora-modules {module}"


def _rank(folder: Path) -> int:
    """Return the highest rank of an adapter, 0 when its configuration does not say."""
    try:
        config = parse_json((folder / "adapter_config.json").read_text("utf-8"))
        ranks = [config.get("r", 0), *(config.get("rank_pattern") or {}).values()]
    except (OSError, ValueError, AttributeError):
        return 0
    return max((rank for rank in ranks if isinstance(rank, int)), default=0)
