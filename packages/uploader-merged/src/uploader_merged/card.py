"""The section of the model card that says how to load the merged model."""

from __future__ import annotations

from uploader_core.plugin import StepContext


def section(context: StepContext) -> str:
    """Return Markdown."""
    name = context.model_id or context.release.name
    needed = "transformers is needed"
    if any(artifact.kind == "merged-4bit" for artifact in context.inputs):
        needed = "transformers, accelerate and bitsandbytes are needed"
    return "\n".join(
        [
            f"The adapter is merged into the base model; nothing but {needed}.",
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
