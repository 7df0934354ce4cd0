"""The section of the model card that says how to load the adapter."""

from __future__ import annotations

import shlex
from pathlib import Path

from uploader_core.plugin import ReleaseInfo, StepContext, UseContext, parse_json

_RANKS = (32, 64, 128, 256, 320, 512)
"""What vLLM takes as the highest rank, beyond its default of 16."""


def section(context: StepContext) -> str:
    """Return Markdown; without a public base model it says which one is needed."""
    release = context.release
    base = release.base_model if release.base_is_hub_id else None
    name = context.model_id or release.name
    at = f', revision="{release.base_revision}"' if base and release.base_pinned else ""
    served: list[str] = []
    if base:
        # Without an artifact it is the section as it will be, shown before there is one.
        folder = context.inputs[0].path if context.inputs else Path()
        command = _serve(release, f"{release.name}={name}", folder)
        served = ["", "With [vLLM](https://docs.vllm.ai):", "", f"    {command}"]
    return "\n".join(
        [
            "This is a LoRA adapter: it needs its base model"
            + (f", [{base}](https://huggingface.co/{base})." if base else "."),
            "",
            "```python",
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            f'base = AutoModelForCausalLM.from_pretrained("{base or "BASE_MODEL"}"{at},'
            + ' dtype="auto")',
            f'model = PeftModel.from_pretrained(base, "{name}")',
            f'tokenizer = AutoTokenizer.from_pretrained("{name}")',
            "```",
            *served,
        ]
    )


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to serve base and adapter; nothing where nobody else has the base."""
    if not context.release.base_is_hub_id:
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
