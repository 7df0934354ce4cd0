"""What the converter needs to know of a checkpoint, merged or not.

``uploader_merged.open_checkpoint`` returns something that fits. Stating it here as a protocol keeps
the rest of the package free of how merging works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from uploader_core.plugin import Artifact
from uploader_lora.task import Task

if TYPE_CHECKING:
    import torch


class Companion(Protocol):
    """A file next to the weights."""

    @property
    def name(self) -> str:
        """Name below the model's folder."""

    @property
    def path(self) -> Path:
        """Where it comes from."""

    @property
    def text(self) -> str | None:
        """What it has to say instead of what is there; None for a copy."""


class Weights(Protocol):
    """Tensors by their names on disk, read one at a time."""

    @property
    def config(self) -> Mapping[str, Any]:
        """``config.json`` of the model as it shall be."""

    @property
    def names(self) -> Iterable[str]:
        """Names in the order of the files."""

    @property
    def own_head(self) -> str | None:
        """Name of the output head, where it has other values than the input embedding."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape from the header."""

    def dtype(self, name: str) -> str:
        """Type from the header, as safetensors spells it (``BF16``)."""

    def read(self, name: str) -> torch.Tensor:
        """Return the tensor, merged."""

    def blocks(self, name: str, elements: int) -> Iterator[torch.Tensor]:
        """Yield the tensor, merged, in blocks along the first axis."""

    def read_rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return a range of the first axis of the tensor, merged."""

    def widened(self) -> Weights:
        """Return the same with sums that are not rounded to 16 bits."""

    def task(self) -> Task:
        """What the model is for."""

    def auxiliary(self) -> Mapping[str, Path]:
        """Files next to the weights (configuration, tokenizer, templates) by their names."""

    def companions(self) -> Sequence[Companion]:
        """Return the same files with what they have to say."""


def open_weights(artifact: Artifact) -> Weights:
    """Open the checkpoint that a plan describes; light until a tensor is read."""
    import uploader_merged

    return uploader_merged.open_checkpoint(artifact)


def tokens_without_rows(weights: Weights) -> tuple[str, ...]:
    """Return the tokens that the embedding has no row for, by their ids."""
    import uploader_merged

    if not isinstance(weights, uploader_merged.Checkpoint):
        return ()
    return uploader_merged.tokens_without_rows(weights)
