"""The section of the model card that says how to load the merged model."""

from __future__ import annotations

from uploader_core.plugin import StepContext


def section(context: StepContext) -> str:
    """Return Markdown."""
    name = context.release.name
    return "\n".join(
        [
            "The adapter is merged into the base model; nothing but transformers is needed.",
            "",
            "```python",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f'model = AutoModelForCausalLM.from_pretrained("{name}", dtype="auto")',
            f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
            "```",
        ]
    )
