"""Prove that finished files are what was planned: headers, and a sample of rows merged again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from uploader_lora import StoredTensor
from uploader_merged import Checkpoint
from uploader_merged.failed_proof import failed_proof, prove_headers
from uploader_mlx.folder import Folder
from uploader_mlx.layout import Stored

if TYPE_CHECKING:
    import torch

_SEED = 1
_TENSORS = 24
_ROWS = 4


def prove_written(checkpoint: Checkpoint, folder: Folder, path: Path) -> dict[str, int]:
    """Check finished files: every header, and a sample of rows merged again.

    Args:
        checkpoint: What it was made of.
        folder: What was to be written.
        path: Where the files are.

    Returns:
        The proof, for the record and the manifest.

    Raises:
        IntegrityError: A file is not what it should be.
    """
    planned = {
        shard.name: {name: (part.dtype, part.shape) for name, part in shard.parts.items()}
        for shard in folder.shards
    }
    written = prove_headers(path, planned)
    choose = random.Random(_SEED)  # noqa: S311 - a sample, not a secret
    known = [
        stored
        for shard in folder.shards
        for stored in shard.stored
        if not stored.output.computed and len(stored.output.shape) > 1
    ]
    chosen = choose.sample(known, min(_TENSORS, len(known)))
    rows = 0
    for stored in chosen:
        part = choose.randrange(len(stored.output.sources))
        source = stored.output.sources[part]
        height = checkpoint.shape(source)[0]
        start = choose.randrange(height)
        stop = min(height, start + _ROWS)
        _compare(checkpoint, written, stored, part, (start, stop))
        rows += stop - start
    return {"headers": len(folder.shards), "recomputed_tensors": len(chosen),
            "recomputed_rows": rows, "seed": _SEED}  # fmt: skip


def _compare(
    checkpoint: Checkpoint,
    written: Mapping[str, StoredTensor],
    stored: Stored,
    part: int,
    rows: tuple[int, int],
) -> None:
    """Undo the codes of a few rows by mlx, and see that they are as near as codes can be."""
    from uploader_merged.compute.tensors import DTYPES, load_rows
    from uploader_mlx.decode import decode, step

    source = stored.output.sources[part]
    weights = checkpoint.read_rows(source, *rows).to(DTYPES[stored.output.dtype])
    # In a stack, one matrix of the checkpoint is one row of the first axis.
    stacked = len(stored.output.sources) > 1

    def read(name: str) -> torch.Tensor:
        if not stacked:
            return load_rows(written[name], *rows)
        return load_rows(written[name], part, part + 1)[0, slice(*rows)]

    found = [read(one.name) for one in stored.parts]
    name = f"{stored.output.name}, rows from {rows[0]}"
    if stored.how is None:
        if not bool((found[0] == weights).all()):
            raise failed_proof(f"the proof failed at {name}: they are not the merged ones")
        return
    values, scales = decode(stored.how, found)
    error = (values - weights.double()).abs()
    allowed = step(stored.how, weights.double(), scales)
    if not bool((error <= allowed).all()):
        worst = float((error / allowed).max())
        raise failed_proof(
            f"the proof failed at {name}: a weight is {worst:.3g} times as far off as its code can "
            "be"
        )
