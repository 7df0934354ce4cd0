"""What proofs of written files have in common: the error, and the look at every header."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from uploader_core.plugin import IntegrityError
from uploader_lora import StoredTensor, read_header


def failed_proof(what: str) -> IntegrityError:
    """Return the error of a proof that failed.

    Args:
        what: Which proof, at which tensor, and why.
    """
    return IntegrityError(
        what,
        owner="the disk, the memory, or a fault of uploader-merged",
        safe="no artifact was released",
        next="run it again; if it fails at the same place, report it with this line",
    )


def prove_headers(
    folder: Path, planned: Mapping[str, Mapping[str, tuple[str, tuple[int, ...]]]]
) -> dict[str, StoredTensor]:
    """Compare the headers of finished files with the plan, and return their tensors by name.

    Args:
        folder: Where the files are.
        planned: By file name, dtype and shape of each tensor by its name.

    Raises:
        IntegrityError: A header is another.
    """
    written: dict[str, StoredTensor] = {}
    for name, wanted in planned.items():
        found = read_header(folder / name).tensors
        if {n: (t.dtype, t.shape) for n, t in found.items()} != wanted:
            raise failed_proof(f"the header of {name} is not what was planned")
        written.update(found)
    return written
