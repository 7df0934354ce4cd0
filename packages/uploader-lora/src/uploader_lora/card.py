"""The section of the model card that says how to load the adapter."""

from __future__ import annotations

import shlex

from uploader_core.plugin import Artifact, ReleaseInfo, StepContext, UseContext
from uploader_lora.snippets import loading, preparing
from uploader_lora.task import SENTENCES, Task, adapter_task
from uploader_lora.where_it_runs import Verdict, on_engine, shown


def section(context: StepContext) -> str:
    """Return Markdown; without a public base model it says which one is needed."""
    release = context.release
    base = release.base_model if release.base_is_hub_id else None
    name = context.model_id or release.name
    at = f', revision="{release.base_revision}"' if base and release.base_pinned else ""
    served: list[str] = []
    artifact = context.inputs[0] if context.inputs else None
    task = _task(context)
    if base and artifact is not None and (served_by := _served_by(artifact, task)):
        command = _serve(release, f"{release.name}={name}", served_by.needs)
        served = ["", "With [vLLM](https://docs.vllm.ai):", "", f"    {command}"]
    return "\n".join(
        [
            "This is a LoRA adapter: it needs its base model"
            + (f", [{base}](https://huggingface.co/{base})." if base else "."),
            "",
            *_loading(task, base or "BASE_MODEL", at, name),
            *served,
            *(shown(artifact.metadata) if artifact is not None else []),
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


def _served_by(artifact: Artifact, task: Task) -> Verdict | None:
    """Return what is said of vLLM where it loads the adapter."""
    found = on_engine(artifact.metadata, "vLLM")
    return found if found and found.runs and task.tag == "text-generation" else None


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to serve base and adapter; nothing where nobody else has the base."""
    served_by = _served_by(context.artifact, Task.of(context.artifact.metadata))
    if not context.release.base_is_hub_id or served_by is None:
        return []
    place = context.published.get("hf") or str(context.artifact.path)
    command = _serve(context.release, f"{context.release.name}={place}", served_by.needs)
    return [("vLLM, base and adapter", command)]


def _serve(release: ReleaseInfo, module: str, option: str) -> str:
    """Return the command; vLLM wants to be told of ranks above 16, and of a pinned revision."""
    at = f" --revision {release.base_revision}" if release.base_pinned else ""
    more = f" {option}" if option else ""
    base, module = shlex.quote(str(release.base_model)), shlex.quote(module)
    return f"vllm serve {base}{at} --enable-lora{more} --lora-modules {module}"
