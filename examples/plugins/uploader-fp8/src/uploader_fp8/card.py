"""The section of the model card."""

from __future__ import annotations

from uploader_core.plugin import StepContext


def section(context: StepContext) -> str:
    """Return Markdown."""
    return "\n".join(
        [
            "Weights are 8-bit floats (E4M3) with a scale per row; activations are quantised while",
            "the model runs, where the hardware can.",
            "",
            "```bash",
            f"vllm serve {context.release.name}",
            "```",
        ]
    )
