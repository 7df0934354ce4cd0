"""Which names a format is written under, as its settings say. Light until they are looked up."""

from __future__ import annotations

from uploader_core.plugin import Artifact, SourceError
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.load_proof import prove_checkpoint
from uploader_merged.settings import ORIGINAL

_ENTRY = 256
"""Bytes that a tensor takes in a header and an index, at most."""


def settled(source: Artifact, names: str) -> Checkpoint:
    """Open a checkpoint for a step, under the names that were asked for.

    Args:
        source: A ``checkpoint`` artifact.
        names: Of ``--merged-names``; ``original`` imports torch and transformers.

    Raises:
        SourceError: It cannot be opened, or not renamed, or does not load under those names.
    """
    checkpoint = open_checkpoint(source)
    if names != ORIGINAL:
        return checkpoint
    from uploader_merged.original_names.rename import with_original_names

    renamed = with_original_names(checkpoint)
    for finding in prove_checkpoint(renamed):
        if finding.level == "error":
            raise SourceError(
                f"under released names {finding.what}",
                owner=str(checkpoint.base.folder),
                safe="nothing was written",
                next="leave --merged-names out",
            )
    return renamed


def settled_bytes(checkpoint: Checkpoint, names: str) -> int:
    """Return by how many bytes headers and index may grow, before the names are looked up."""
    if names != ORIGINAL:
        return 0
    shapes = [checkpoint.shape(name) for name in checkpoint.names]
    # Fused experts may become three tensors for each of them.
    return _ENTRY * sum(3 * shape[0] if len(shape) == 3 else 1 for shape in shapes)
