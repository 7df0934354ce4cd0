"""Codes that calibration found, in a scratch folder. Heavy: imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch  # noqa: TID253 - this module reads weights

from uploader_compressed.decode import decode
from uploader_compressed.schemes import Scheme
from uploader_lora import StoredTensor
from uploader_merged.compute.tensors import load_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibrated:
    """Codes and scales that calibration found.

    Attributes:
        scheme: How they are to be read.
        tensors: Stored tensors by the names that they will have in the release.
        names: Matrices of the checkpoint that have them.
    """

    scheme: Scheme
    tensors: dict[str, StoredTensor] = field(default_factory=dict, repr=False)
    names: set[str] = field(default_factory=set, repr=False)

    def rows(self, name: str, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return codes and scales of rows as they are stored; None of a matrix without them."""
        if name not in self.names:
            return None
        codes, scales = (self.tensors[ending] for ending in stored_names(self.scheme, name))
        return load_rows(codes, start, stop), load_rows(scales, start, stop)

    def read(self, name: str, rows: int) -> torch.Tensor:
        """Return what the codes of a matrix of so many rows stand for, float32."""
        return decode(self.scheme, self.tensors, name, (0, rows))[0].float()


def stored_names(scheme: Scheme, name: str) -> tuple[str, str]:
    """Return the names of codes and scales of a matrix in the release."""
    module = name.removesuffix(".weight")
    return f"{module}.{'weight_packed' if scheme.packed else 'weight'}", f"{module}.weight_scale"
