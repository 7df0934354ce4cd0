"""The section of the model card that says how to load the merged model."""

from __future__ import annotations

import shlex

from uploader_core.plugin import StepContext, UseContext


def section(context: StepContext) -> str:
    """Return Markdown."""
    name = context.model_id or context.release.name
    needed = "transformers is needed"
    if any(artifact.kind == "merged-4bit" for artifact in context.inputs):
        needed = "transformers, accelerate and bitsandbytes are needed"
    what = "The adapter is merged into the base model"
    if context.release.source == "checkpoint":
        what = "A full model"
    return "\n".join(
        [
            f"{what}; nothing but {needed}.",
            "",
            "```python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f'model = AutoModelForCausalLM.from_pretrained("{name}", dtype="auto")',
            f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
            "```",
            "",
            "With [vLLM](https://docs.vllm.ai):",
            "",
            f"    vllm serve {name}",
        ]
    )


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to run the model, from the Hub where it is there."""
    place = context.published.get("hf") or str(context.artifact.path)
    code = (
        "from transformers import pipeline; "
        f"print(pipeline('text-generation', {place!r})('Hello')[0]['generated_text'])"
    )
    return [
        ("transformers", _python(code)),
        ("vLLM", f"vllm serve {shlex.quote(place)}"),
    ]


def _python(code: str) -> str:
    """Quote code so that it reads well, where a shell leaves what is within double quotes alone."""
    return (
        shlex.join(["python", "-c", code]) if set(code) & set('"$`\\!') else f'python -c "{code}"'
    )
