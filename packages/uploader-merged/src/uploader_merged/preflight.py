"""Virtual opening, checks and estimates: headers and small JSON files, no torch."""

from __future__ import annotations

from collections.abc import Iterator

from uploader_core.plugin import Artifact, Estimate, Finding, PlanContext, StepContext
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.folder import plan_folder
from uploader_merged.layout import main_dtype

# Private memory of an interpreter with torch loaded, beyond one without (torch 2.13, measured).
_TORCH = 190 << 20
# Blocks in flight (stored, summed, product, cast) of 4 Mi elements in float32.
_BLOCKS = 4 * (16 << 20)


def open_virtual(context: StepContext) -> Artifact:
    """Describe base and adapter as one checkpoint; nothing is written.

    Raises:
        SourceError: The two do not fit together.
    """
    base, adapter = context.input("base"), context.input("adapter")
    packing = context.settings.expert_packing
    checkpoint = open_checkpoint(base.path, adapter.path, expert_packing=packing)
    return context.artifact(
        {
            "base": str(base.path),
            "adapter": str(adapter.path),
            "expert_packing": packing,
            "model_id": base.metadata.get("model_id"),
            "revision": base.metadata.get("revision"),
            "touched": len(checkpoint.touched),
            "tensors": len(checkpoint.names),
        }
    )


def check(context: PlanContext) -> Iterator[Finding]:
    """Open everything that the step will read; what cannot be used raises."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    folder = plan_folder(checkpoint, context.settings)
    borrowed = [file.name for file in folder.companions if file.origin == "base"]
    if checkpoint.adapter is not None and borrowed:
        yield Finding(
            level="note",
            what=f"taken from the base model, because the adapter has none: {', '.join(borrowed)}",
        )
    if not any(file.role == "tokenizer" for file in folder.companions):
        yield Finding(
            level="warning",
            what="neither the adapter nor the base model has tokenizer files",
            next="save the tokenizer beside the adapter: tokenizer.save_pretrained(FOLDER)",
        )
    if context.settings.dtype == "auto" and main_dtype(checkpoint) == "F32":
        yield Finding(
            level="note",
            what="the base model is stored in float32, and so is the merged one",
            next="--merged-dtype bfloat16",
        )


def estimate(context: PlanContext) -> Estimate:
    """Count bytes exactly from headers."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    sizes = plan_folder(checkpoint, context.settings).sizes
    return Estimate(
        bytes_written=sum(sizes.values()),
        peak_memory=_TORCH + _working_memory(checkpoint),
        exact=True,
        files=tuple(sizes.items()),
    )


def _working_memory(checkpoint: Checkpoint) -> int:
    """Return bytes for the blocks in flight and the largest low-rank matrices, in float32."""
    factors = max(
        (
            sum(view.tensor.nbytes for view in checkpoint.recipe(name).consumed)
            for name in checkpoint.touched
        ),
        default=0,
    )
    return _BLOCKS + 4 * factors
