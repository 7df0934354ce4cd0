"""The section of the model card that says how to load the merged model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from uploader_core.plugin import StepContext, UseContext
from uploader_lora.snippets import loading
from uploader_lora.task import SENTENCES, Task
from uploader_lora.where_it_runs import on_engine, runs_alone, shown

_PIPELINES = {
    "text-generation": "('Hello')[0]['generated_text']",
    "text-classification": "('Hello')",
    "token-classification": "('Hello')",
    "feature-extraction": "('Hello')",
}
"""Pipelines of transformers 5 that one word is enough for, and what to ask them."""


def section(context: StepContext) -> str:
    """Return Markdown."""
    name = context.model_id or context.release.name
    four_bit = any(artifact.kind == "merged-4bit" for artifact in context.inputs)
    task = Task.of(context.inputs[0].metadata) if context.inputs else Task()
    needed = f"{task.library or 'transformers'} is needed"
    if four_bit:
        needed = f"{task.library or 'transformers'}, accelerate and bitsandbytes are needed"
    what = "The adapter is merged into the base model"
    if context.release.source == "checkpoint":
        what = "A full model"
    return "\n".join(
        [
            f"{what}; nothing but {needed}.",
            "",
            *loading(task, name),
            *(
                ["", "With [vLLM](https://docs.vllm.ai):", "", f"    vllm serve {name}"]
                if context.inputs and runs_alone(context.inputs[0].metadata, "vLLM")
                else []
            ),
            *(shown(context.inputs[0].metadata) if context.inputs else []),
        ]
    )


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to run the model, from the Hub where it is there; nothing where nobody knows."""
    place = context.published.get("hf") or str(context.artifact.path)
    task = Task.of(context.artifact.metadata)
    found = []
    if task.library == SENTENCES and task.auto_class != "CrossEncoder":
        code = (
            f"from sentence_transformers import {task.auto_class}; "
            f"print({task.auto_class}({place!r}).encode('Hello'))"
        )
        found.append((SENTENCES, _python(code)))
    elif task.library is None and task.tag in _PIPELINES:
        what = _PIPELINES[task.tag]
        code = f"from transformers import pipeline; print(pipeline({task.tag!r}, {place!r}){what})"
        found.append((_with_packages(context.artifact.metadata), _python(code)))
    if runs_alone(context.artifact.metadata, "vLLM"):
        found.append(("vLLM", f"vllm serve {shlex.quote(place)}"))
    return found


def _with_packages(metadata: Mapping[str, Any]) -> str:
    """Name transformers, and what it needs besides to load an artifact."""
    verdict = on_engine(metadata, "transformers")
    needs = verdict.needs if verdict is not None else ""
    return f"transformers, with {needs}" if needs else "transformers"


def _python(code: str) -> str:
    """Quote code so that it reads well, where a shell leaves what is within double quotes alone."""
    return (
        shlex.join(["python", "-c", code]) if set(code) & set('"$`\\!') else f'python -c "{code}"'
    )
