"""What cards and the last screen say of an adapter of mlx-lm."""

from __future__ import annotations

import shlex

from uploader_core.plugin import StepContext, UseContext
from uploader_lora.where_it_runs import shown


def section(context: StepContext) -> str:
    """Return Markdown."""
    release = context.release
    base = str(release.base_model) if release.base_is_hub_id else "BASE_MODEL"
    name = context.model_id or release.name
    linked = f", [{base}](https://huggingface.co/{base})" if release.base_is_hub_id else ""
    return "\n".join(
        [
            "This is a LoRA adapter for [MLX](https://github.com/ml-explore/mlx-lm): it needs its "
            f"base model{linked}, in 16 bits or quantised by mlx-lm.",
            "",
            "```bash",
            "pip install mlx-lm",
            f"hf download {name} --local-dir adapter",
            f'mlx_lm.generate --model {base} --adapter-path adapter --prompt "Hello"',
            "```",
            *(line for artifact in context.inputs for line in shown(artifact.metadata)),
        ]
    )


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to run base and adapter; nothing where nobody else has the base."""
    release = context.release
    if not release.base_is_hub_id:
        return []
    base, place = (shlex.quote(str(p)) for p in (release.base_model, context.artifact.path))
    return [
        (
            "MLX, base and adapter",
            f'mlx_lm.generate --model {base} --adapter-path {place} --prompt "Hello"',
        )
    ]
