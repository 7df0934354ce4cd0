"""Models in files: read, compared and changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from uploader_core.plugin import Artifact


def load_all(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a model."""
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        tensors |= load_file(file)
    return tensors


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Return whether two tensors are the same, NaN and signs of zero included."""
    return (
        left.dtype == right.dtype
        and left.shape == right.shape
        and torch.equal(left.contiguous().view(torch.uint8), right.contiguous().view(torch.uint8))
    )


def rewritten(base: Path, folder: Path, change: dict[str, torch.Tensor]) -> Path:
    """Copy a model of one file and put other tensors into it; return the folder."""
    shutil.copytree(base, folder)
    file = folder / "model.safetensors"
    save_file({**load_file(file), **change}, file, metadata={"format": "pt"})
    return folder


def checkpoint_artifact(base: Path, adapter: Path | None) -> Artifact:
    """The record that the virtual step makes, or core for a full model."""
    metadata: dict[str, Any] = {
        "base": str(base),
        "adapters": [] if adapter is None else [[str(adapter), 1.0]],
    }
    return Artifact(kind="checkpoint", path=base, metadata=metadata)
