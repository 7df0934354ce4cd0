"""What cards and the last screen say of an MLX model: what it is, and how to run it."""

from __future__ import annotations

import shlex

from uploader_core.plugin import Artifact, StepContext, UseContext
from uploader_lora.where_it_runs import shown
from uploader_mlx.kinds import SIXTEEN, title

_INSTALL = "pip install mlx-lm"


def section(context: StepContext) -> str:
    """Return Markdown."""
    name = context.model_id or context.release.name
    lines: list[str] = []
    for artifact in context.inputs:
        kind = artifact.metadata.get("kind")
        if not isinstance(kind, str):
            continue
        lines += [
            _what(artifact, kind),
            "",
            "```bash",
            f"{_INSTALL}  # on Linux: pip install 'mlx[cpu]' mlx-lm",
            f'mlx_lm.generate --model {name} --prompt "Hello"',
            f"mlx_lm.server --model {name}",
            "```",
            "",
            "```python",
            "from mlx_lm import generate, load",
            "",
            f'model, tokenizer = load("{name}")',
            'prompt = "Hello"',
            "if tokenizer.chat_template is not None:",
            '    messages = [{"role": "user", "content": prompt}]',
            "    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)",
            "print(generate(model, tokenizer, prompt=prompt))",
            "```",
            *shown(artifact.metadata),
        ]
    return "\n".join(lines)


def _what(artifact: Artifact, kind: str) -> str:
    """Say how the weights are stored."""
    left = artifact.metadata.get("left_out")
    alone = " It is the language model alone." if isinstance(left, int) and left else ""
    if kind == SIXTEEN:
        return f"The model for [MLX](https://github.com/ml-explore/mlx-lm), in 16 bits.{alone}"
    kept = artifact.metadata.get("kept_in_16_bit")
    besides = [str(path) for path in kept] if isinstance(kept, list) else []
    words = ""
    if besides:
        first = f"`{besides[0]}`"
        words = f" In 16 bits are {first}" + (
            f" and {len(besides) - 1} other layers." if len(besides) > 1 else "."
        )
    return (
        f"The model for [MLX](https://github.com/ml-explore/mlx-lm), quantised to {title(kind)}: "
        f"{artifact.metadata.get('quantised')} matrices, the embedding among them.{words}{alone}"
    )


def commands(context: UseContext) -> list[tuple[str, str]]:
    """Return how to run the model, from the Hub where it is there."""
    place = shlex.quote(context.published.get("hf") or str(context.artifact.path))
    return [
        ("MLX", f'mlx_lm.generate --model {place} --prompt "Hello"'),
        ("MLX, as a server", f"mlx_lm.server --model {place}"),
    ]
