"""A compressed folder as the checkpoint that it stands for. Heavy: imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - this module reads weights

from uploader_compressed.decode import decode
from uploader_compressed.schemes import Scheme
from uploader_lora import StoredTensor, read_header
from uploader_merged import Checkpoint
from uploader_merged.compute.tensors import load, load_rows
from uploader_merged.merge_plan.recipes import Recipe


class CompressedWeights:
    """Tensors of a compressed folder by the names that they have in the checkpoint.

    Fused experts that were taken apart have the names of their parts.

    Args:
        checkpoint: What was quantised: names and shapes are its.
        scheme: How.
        folder: The files.
    """

    def __init__(self, checkpoint: Checkpoint, scheme: Scheme, folder: Path) -> None:
        self._scheme = scheme
        self._written: dict[str, StoredTensor] = {}
        for path in sorted(folder.glob("*.safetensors")):
            self._written.update(read_header(path).tensors)
        self._checkpoint = checkpoint.with_single_experts(self._written.__contains__)

    @property
    def config(self) -> Mapping[str, Any]:
        """That of the 16-bit model."""
        return self._checkpoint.config

    @property
    def names(self) -> tuple[str, ...]:
        """As in the checkpoint."""
        return self._checkpoint.names

    @property
    def stacks(self) -> Mapping[str, tuple[Recipe, ...]]:
        """As in the checkpoint."""
        return self._checkpoint.stacks

    @property
    def quantised(self) -> frozenset[str]:
        """Names of the matrices that have codes."""
        return frozenset(name for name in self.names if _scale(name) in self._written)

    def shape(self, name: str) -> tuple[int, ...]:
        """As in the checkpoint."""
        return self._checkpoint.shape(name)

    def read(self, name: str) -> torch.Tensor:
        """Return what is stored, or what codes stand for, in float32."""
        if _scale(name) in self._written:
            return decode(self._scheme, self._written, name, (0, self.shape(name)[0]))[0].float()
        return load(self._written[name])

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return rows of a tensor that is in 16 bits."""
        return load_rows(self._written[name], start, stop)


def _scale(name: str) -> str:
    return f"{name.removesuffix('.weight')}.weight_scale"
