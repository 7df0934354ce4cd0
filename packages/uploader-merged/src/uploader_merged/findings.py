"""What there is to say of a checkpoint before anything is made of it, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator

from uploader_core.plugin import Finding
from uploader_lora import describe_positions
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.tying import FLAG, embedding_name, head_name, is_contradicted


def checkpoint_findings(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield warnings and notes about a checkpoint, for the ``check`` of a format.

    Several formats of one plan may say the same; a plan shows it once.
    """
    yield from _ends(checkpoint)
    yield from _positions(checkpoint)


def _ends(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say that the files are believed, and not the flag, with what follows from it."""
    base = checkpoint.base
    if not is_contradicted(base):
        return
    embedding, head = embedding_name(base), head_name(base.tensors)
    what = (
        f"config.json says that the embeddings are tied ({FLAG}: true), and the files hold two "
        f"different matrices, {embedding} and {head}; both are kept, as transformers 5 does, and "
        f"{FLAG}: false is written beside them"
    )
    if checkpoint.adapters:
        what += f". transformers 4 drops {head}, so an adapter trained with it does not fit here"
    yield Finding(
        level="warning",
        what=what,
        next=f"where {head} is a left-over, take it out of a copy of the folder",
    )


def _positions(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Say that the positions are those of the training, which a file beside the adapter tells."""
    trained = describe_positions(checkpoint.config)
    before = describe_positions(checkpoint.base.config)
    if trained != before:
        yield Finding(
            level="note",
            what=f"positions are those that the adapter was trained with ({trained}), as "
            f"config.json beside it says; the base has {before}",
        )
