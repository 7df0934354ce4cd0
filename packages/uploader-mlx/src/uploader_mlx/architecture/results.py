"""Tensors that mlx computes, each when its turn comes, and gone when it was taken. Heavy: mlx."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import mlx.core as mx
import torch  # noqa: TID253 - rows are handed on to what merges and stores

from uploader_merged import Checkpoint
from uploader_merged.compute.tensors import DTYPES
from uploader_mlx.architecture.described import Output, Sanitised
from uploader_mlx.architecture.sanitised import compute
from uploader_mlx.arrays import SPELLED, content

_SMALL = 1 << 20
"""Bytes of a tensor that is computed with all others of its size: norms, biases, convolutions."""


class Results:
    """Those tensors of a model that ``sanitize`` does more with than to rename and to stack them.

    Args:
        checkpoint: The model.
        model: As mlx-lm has it.
    """

    def __init__(self, checkpoint: Checkpoint, model: Sanitised) -> None:
        self._checkpoint = checkpoint
        self._model = model
        self._ready: dict[str, mx.array] = {}

    def rows(self, output: Output, height: int) -> Iterator[Callable[[], torch.Tensor]]:
        """Yield rows of a tensor as work; it is computed before the first of them.

        Args:
            output: One that is computed.
            height: Most rows at once.
        """
        if output.name not in self._ready:
            self._ready |= compute(self._checkpoint, self._model, self._with(output))
        array = self._ready.pop(output.name)
        dtype = DTYPES[SPELLED[array.dtype]]
        flat = torch.frombuffer(content(array), dtype=dtype)
        whole = flat.reshape(-1, array.shape[-1]) if array.ndim > 1 else flat
        for start in range(0, len(whole), height):
            yield functools.partial(_cut, whole, start, start + height)

    def _with(self, output: Output) -> tuple[str, ...]:
        """Return names of what is computed together: of the same tensors, or all that is small."""
        small = output.nbytes <= _SMALL
        return tuple(
            other.name
            for other in self._model.outputs
            if other.computed
            and (other.nbytes <= _SMALL if small else other.sources == output.sources)
        )


def _cut(whole: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    return whole[start:stop]
