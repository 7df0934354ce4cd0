"""One scheme of a run: its files, its codes, and how far it is.

Heavy: imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch  # noqa: TID253 - this module computes

import uploader_kernels
from uploader_compressed.calibration.codes import Calibrated
from uploader_compressed.encode import encode
from uploader_compressed.folder import Folder
from uploader_compressed.layout import Shard
from uploader_core.plugin import Json, StepContext
from uploader_merged import Checkpoint
from uploader_merged.compute.arithmetic import Piece


class Rows(NamedTuple):
    """Rows of a tensor that are still to be merged.

    Attributes:
        source: Name of the tensor.
        start: Number of the first row.
        piece: The work.
        quantised: Whether codes are made of them.
        overall: Scale of the whole matrix, for schemes that have one.
    """

    source: str
    start: int
    piece: Piece
    quantised: bool
    overall: torch.Tensor | None


@dataclass
class Target:
    """One scheme of the run, and how far it is."""

    context: StepContext
    folder: Folder
    done: int = 0
    calibrated: Calibrated | None = None
    calibration: Mapping[str, Json] | None = None
    proof: Mapping[str, int] | None = None

    def calibrate(self, checkpoint: Checkpoint) -> None:
        """Find codes on real text, where the scheme asks for it."""
        scheme, context = self.folder.scheme, self.context
        if not scheme.calibrated:
            return
        # transformers is needed by these schemes alone.
        import torch

        from uploader_compressed.calibration.calibrate import calibrate
        from uploader_compressed.calibration.text import describe, windows

        texts = windows(checkpoint, context.settings)
        names = frozenset(self.folder.selection.names)
        self.calibrated = calibrate(
            checkpoint,
            scheme,
            names,
            texts,
            context.work / "calibrated",
            lambda done, total: context.progress("calibrating", done, total, "layers"),
        )
        self.calibration = {
            **describe(context.settings, texts),
            # Who makes it once more needs as many, for the same last digits of sums.
            "threads": torch.get_num_threads(),
            "matrices": len(self.calibrated.names),
            "not_reached": [*sorted(names - self.calibrated.names)],
        }

    def takes(self, number: int) -> bool:
        """Return whether a file is this worker's."""
        return number in self._mine

    @property
    def _mine(self) -> Mapping[int, Shard]:
        pieces = self.context.pieces
        shards = enumerate(self.folder.shards)
        return {n: shard for n, shard in shards if not pieces or shard.name in pieces}

    def resumes(self, shard: Shard) -> bool:
        """Return whether an interrupted attempt finished a file.

        Calibrated files are all of one calibration: sums of floating-point numbers depend on how
        many threads compute them, so another attempt may have found other codes.
        """
        return not self.folder.scheme.calibrated and (
            self.context.output.done(shard.name) is not None
        )

    def encode(
        self, rows: Rows, merged: torch.Tensor, kernels: uploader_kernels.Library | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes and scales of merged rows."""
        if self.calibrated is not None:
            found = self.calibrated.rows(rows.source, rows.start, rows.start + len(merged))
            if found is not None:
                return found
        return encode(self.folder.scheme, merged, rows.overall, kernels)

    def progress(self, nbytes: int) -> None:
        self.done += nbytes
        total = sum(shard.nbytes for shard in self._mine.values())
        self.context.progress("quantising", self.done, total)
