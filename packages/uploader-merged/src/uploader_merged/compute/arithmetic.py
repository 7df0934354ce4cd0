"""Carry out recipes: ``W.float() + (B @ A) * scale`` in blocks of rows, cast once.

Heavy: imports torch. This form, and not ``addmm`` with alpha, gives the very bits of PEFT's own
merge in float32 at every scale. DoRA is computed in float64.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import torch  # noqa: TID253 - this module computes

from uploader_core.plugin import SourceError
from uploader_merged.compute.low_rank import BLOCK, FAST, AddLowRank
from uploader_merged.compute.tensors import DTYPES, ViewLoader, load_rows, row_blocks
from uploader_merged.merge_plan.recipes import AddVector, Dora, LowRank, PutRows, Recipe, Stack


class Piece(NamedTuple):
    """Rows of a merged tensor, as work that is still to be done.

    Attributes:
        read: Reads the rows as they are stored; waits for the disk.
        merge: Makes the merged rows of them; keeps a processor busy.
    """

    read: Callable[[], torch.Tensor]
    merge: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self) -> torch.Tensor:
        """Do both."""
        return self.merge(self.read())


class Evaluation:
    """One tensor being merged; the small matrices are read once.

    Args:
        recipe: How it is made.
        dtype: Type of the result as safetensors spells it; the storage type when None. A wider one
            is reached without the rounding of the storage type.
        views: Reads the small matrices; shared by the evaluations of a checkpoint.
    """

    def __init__(
        self, recipe: Recipe, dtype: str | None = None, views: ViewLoader | None = None
    ) -> None:
        self._recipe = recipe
        # Stacked matrices are worked on as one matrix with all their rows.
        self._source = replace(recipe.source, shape=recipe.rows)
        # Norms lose digits in float32, and there is no float32 reference to be equal to.
        dora = any(isinstance(step, Dora) for step in recipe.steps)
        self._compute = torch.float64 if dora else torch.float32
        views = views or ViewLoader()
        self._scratch = views.scratch
        self._steps = [_RUNNERS[type(s)](recipe, s, self._compute, views) for s in recipe.steps]
        wanted = dtype or recipe.dtype
        only = self._steps[0] if len(self._steps) == 1 else None
        kernels = views.kernels
        self._in_one_pass: Callable[[torch.Tensor, int, torch.Tensor], bool] | None = None
        if kernels and isinstance(only, AddLowRank) and {recipe.source.dtype, wanted} <= FAST:
            self._in_one_pass = functools.partial(only.store, kernels)
        self._as_it_is = not recipe.touched and wanted == recipe.source.dtype
        self._dtype = None if self._as_it_is else DTYPES[wanted]

    def read(self) -> torch.Tensor:
        """Return the whole tensor."""
        shape = self._recipe.rows
        if self._as_it_is or not shape:
            whole = self._rows(0, shape[0] if shape else 1)
        else:
            whole = torch.empty(shape, dtype=self._dtype)
            for start, stop in row_blocks(shape, BLOCK):
                whole[start:stop] = self._rows(start, stop)
        return whole.reshape(self._recipe.shape)

    def blocks(self, elements: int) -> Iterator[torch.Tensor]:
        """Yield blocks of rows of at most so many elements, but at least one row."""
        for start, stop in row_blocks(self._recipe.rows, elements):
            yield self._rows(start, stop)

    def pieces(self, elements: int) -> Iterator[Piece]:
        """Yield the same blocks as work to be done, in any thread."""
        for start, stop in row_blocks(self._recipe.rows, elements):
            yield self.piece(start, stop)

    def piece(self, start: int, stop: int) -> Piece:
        """Return rows as work; of stacked matrices they are numbered through."""
        return Piece(
            functools.partial(load_rows, self._source, start, stop),
            functools.partial(self._merge, start),
        )

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Return merged rows along the first axis."""
        shape = self._recipe.shape
        inner = self._recipe.rows[0] // shape[0] if shape else 1
        return self._rows(start * inner, stop * inner).reshape(stop - start, *shape[1:])

    def _rows(self, start: int, stop: int) -> torch.Tensor:
        return self.piece(start, stop)()

    def _merge(self, start: int, stored: torch.Tensor) -> torch.Tensor:
        """Make merged rows of stored ones.

        Args:
            start: Number of the first row.
            stored: The rows, as in the file.
        """
        if self._dtype is None:
            return stored
        result = torch.empty(stored.shape, dtype=self._dtype)
        if self._in_one_pass is not None and self._in_one_pass(stored, start, result):
            return result
        for low, high in row_blocks(tuple(stored.shape), BLOCK):
            first, last = start + low, start + high
            value = stored[low:high]
            for step in self._steps:
                value = step.apply(value, first, last)
            target = result[low:high].copy_(value)
            if self._recipe.touched:
                self._check_finite(value, target, first)
        return result

    def _check_finite(self, value: torch.Tensor, result: torch.Tensor, start: int) -> None:
        """Refuse NaN and infinity, in the sums and in what is stored of them."""
        if not (torch.isfinite(value).all() and torch.isfinite(result).all()):
            rounded = str(result.dtype).removeprefix("torch.")
            raise SourceError(
                f"{self._recipe.name} would hold NaN or infinity near row {start}"
                + (f" in {rounded}" if torch.isfinite(value).all() else ""),
                owner=f"{self._recipe.source.file.name} and the adapter's tensors for it",
                safe="no weight file with it was finished",
                next="--merged-dtype bfloat16, if it was float16; otherwise take an earlier "
                "checkpoint of the training, this one diverged",
            )


# A step takes rows in any floating type and returns them in the type that is computed in.


class _Dora:
    """``m / norm(W + dW) * (W + dW)``."""

    def __init__(self, recipe: Recipe, step: Dora, dtype: torch.dtype, views: ViewLoader) -> None:
        self._product = AddLowRank(recipe, step.product, dtype, views)
        self._magnitude = views.load(step.magnitude, dtype).flatten()
        self._by_columns = step.by_columns
        self._factor = torch.empty(0)
        if self._by_columns:
            squares = torch.zeros(recipe.shape[1], dtype=dtype)
            for start, stop in row_blocks(recipe.shape, BLOCK):
                base = load_rows(recipe.source, start, stop)
                squares += self._product.apply(base, start, stop).square_().sum(0)
            self._factor = self._magnitude / squares.sqrt()

    def apply(self, value: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        value = self._product.apply(value, start, stop)
        if self._by_columns:
            return value.mul_(self._factor)
        factor = self._magnitude[start:stop] / value.flatten(1).square().sum(1).sqrt()
        return value.mul_(factor.view(-1, *[1] * (value.dim() - 1)))


class _AddVector:
    """``bias + vector * scale``."""

    def __init__(
        self, recipe: Recipe, step: AddVector, dtype: torch.dtype, views: ViewLoader
    ) -> None:
        self._vector = views.load(step.vector, dtype).flatten() * step.scale

    def apply(self, value: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        return self._vector[start:stop] + value


class _PutRows:
    """Rows of an embedding, as they were trained."""

    def __init__(
        self, recipe: Recipe, step: PutRows, dtype: torch.dtype, views: ViewLoader
    ) -> None:
        self._rows = torch.tensor(step.rows)
        self._values = views.load(step.values, dtype)

    def apply(self, value: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        value = value.to(self._values.dtype, copy=True)
        here = (self._rows >= start) & (self._rows < stop)
        value[self._rows[here] - start] = self._values[here]
        return value


class _Stack:
    """Low-rank products for single matrices of a stack, by rows of all of them."""

    def __init__(self, recipe: Recipe, step: Stack, dtype: torch.dtype, views: ViewLoader) -> None:
        self._height = recipe.shape[1]
        self._dtype = dtype
        self._load = functools.partial(AddLowRank, recipe, dtype=dtype, views=views)
        self._placed = [
            (p.expert * self._height + p.row, p.product.shape[0], p.product) for p in step.placed
        ]

    def apply(self, value: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        value = value.to(self._dtype, copy=True)
        for first, count, product in self._placed:
            low, high = max(start, first), min(stop, first + count)
            if low < high:
                part = value[low - start : high - start]
                part.copy_(self._load(product).apply(part, low - first, high - first))
        return value


_RUNNERS: dict[type, Callable[..., Any]] = {
    LowRank: AddLowRank,
    Dora: _Dora,
    AddVector: _AddVector,
    PutRows: _PutRows,
    Stack: _Stack,
}
