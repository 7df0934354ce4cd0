"""What can be said from headers alone."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from uploader_core.plugin import Estimate, Finding, PlanContext
from uploader_merged import Checkpoint, open_checkpoint

FLOATS = ("BF16", "F16", "F32")


def check(context: PlanContext) -> Iterable[Finding]:
    """Refuse a checkpoint whose weights are quantised already."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    if "quantization_config" in checkpoint.config:
        yield Finding(
            level="error",
            what="the model is quantised already; FP8 of it would lose twice",
            next="start from the model in 16 bits: --base PATH_OR_ID",
        )


def estimate(context: PlanContext) -> Estimate:
    """Say what will be written, a few per cent too much: norms and scales are not told apart."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    written = sum(_bytes(checkpoint, name, context.settings.keep) for name in checkpoint.names)
    largest = max(4 * prod(checkpoint.shape(name)) for name in checkpoint.names)
    return Estimate(
        bytes_written=written, peak_memory=context.settings.shard_size + 2 * largest + (1 << 30)
    )


def _bytes(checkpoint: Checkpoint, name: str, keep: tuple[str, ...]) -> int:
    shape = checkpoint.shape(name)
    if len(shape) == 2 and "embed" not in name and not kept(name.removesuffix(".weight"), keep):
        return prod(shape) + 2 * shape[0]
    return prod(shape) * (4 if checkpoint.dtype(name) == "F32" else 2)


def kept(module: str, keep: tuple[str, ...]) -> bool:
    """Tell whether the user wants a module as it is."""
    return any(module == name or module.endswith("." + name) for name in keep)
