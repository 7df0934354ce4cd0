"""The section of the model card that says how to load the adapter."""

from __future__ import annotations

import shlex

from uploader_core.plugin import StepContext, UseContext


def section(context: StepContext) -> str:
    """Return Markdown; without a public base model it says which one is needed."""
    release = context.release
    base = release.base_model if release.base_is_hub_id else None
    name = context.model_id or release.name
    return "\n".join(
        [
            "This is a LoRA adapter: it needs its base model"
            + (f", [{base}](https://huggingface.co/{base})." if base else "."),
            "",
            "```python",
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f'base = AutoModelForCausalLM.from_pretrained("{base or "BASE_MODEL"}", dtype="auto")',
            f'model = PeftModel.from_pretrained(base, "{name}")',
            f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
            "```",
        ]
    )


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to serve base and adapter; nothing where nobody else has the base."""
    if not context.release.base_is_hub_id:
        return []
    base = shlex.quote(str(context.release.base_model))
    place = context.published.get("hf") or str(context.artifact.path)
    module = shlex.quote(f"{context.release.name}={place}")
    return [("vLLM, base and adapter", f"vllm serve {base} --enable-lora --lora-modules {module}")]
