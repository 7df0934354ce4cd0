"""Prove a finished merge from the files on disk, by another way than they were made.

Heavy: imports torch. What is shown: every weight file is well formed; every tensor that the adapter
touches changed, or its change is too small for the storage type; a seeded sample of rows, computed
again in float64 and without matrix products, is what was written; a seeded sample of all other
tensors is the base's, byte for byte. That every adapter tensor is used exactly once is checked when
the merge is planned, and that every changed value is finite when it is computed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch  # noqa: TID253 - this module computes

from uploader_core.plugin import IntegrityError, Json, RefusedError
from uploader_lora import StoredTensor, read_header
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.compute.tensors import DTYPES, ViewLoader, load_rows, row_blocks
from uploader_merged.failed_proof import failed_proof
from uploader_merged.load_proof.subject import describe
from uploader_merged.load_proof.written import compare_headers
from uploader_merged.merge_plan.recipes import (
    AddVector,
    Dora,
    LowRank,
    PutRows,
    Recipe,
    Stack,
    Step,
    View,
)

SEED = 1
TENSORS = 24
"""Tensors of each group, changed and unchanged, that are looked at."""
ROWS = 6
"""Rows of each tensor that are computed again."""

# Bits of the significand, the implicit one included.
_PRECISION = {"F64": 53, "F32": 24, "F16": 11, "BF16": 8}
# Rounding of one operation in float32.
_FLOAT32 = 2.0**-24


@dataclass
class _Sample:
    """Largest deviation so far, in units of the storage type's last place."""

    tensors: int = 0
    rows: int = 0
    largest: float = 0.0


def prove(
    checkpoint: Checkpoint, files: Iterable[Path], dtypes: Mapping[str, str] | None = None
) -> dict[str, Json]:
    """Check a merged folder.

    Args:
        checkpoint: What was merged.
        files: The weight files that were written.
        dtypes: Types that the tensors were to be written in; None for the checkpoint's own.

    Returns:
        The proof, for the record and the manifest.

    Raises:
        IntegrityError: A file is not what it should be.
        RefusedError: The adapter changes nothing at all.
    """
    written: dict[str, StoredTensor] = {}
    for file in files:
        written.update(read_header(file).tensors)
    compare_headers(describe(checkpoint, dtypes), written)
    choose = random.Random(SEED)  # noqa: S311 - a sample, not a secret
    touched = list(checkpoint.touched)
    unchanged = [n for n in touched if not _changed(checkpoint.recipe(n), written[n])]
    if touched and len(unchanged) == len(touched):
        raise RefusedError(
            "the merged model would be the base model: no tensor changes",
            owner="the adapter",
            safe="no artifact was released",
            next="check that the adapter was trained: all its B matrices may still be zero",
        )
    sample = _Sample()
    # A dictionary keeps the order; the proof is part of the manifest, which has to be repeatable.
    for name in dict.fromkeys([*_some(choose, touched), *unchanged[:TENSORS]]):
        _recompute(checkpoint.recipe(name), written[name], choose, sample)
    others = [n for n in checkpoint.names if not checkpoint.recipe(n).touched]
    for name in _some(choose, others):
        _compare(checkpoint.recipe(name).source, written[name], choose)
    return {
        "adapter_tensors_used_once": sum(len(a.tensors) for a in checkpoint.adapters),
        "touched": len(touched),
        "changed": len(touched) - len(unchanged),
        "too_small_to_change": list(unchanged),
        "recomputed_tensors": sample.tensors,
        "recomputed_rows": sample.rows,
        "largest_error_in_last_place": round(sample.largest, 4),
        "untouched_compared": len(_some(random.Random(SEED), others)),  # noqa: S311
        "finite": True,
        "seed": SEED,
    }


def _some(choose: random.Random, names: list[str]) -> list[str]:
    return choose.sample(names, min(TENSORS, len(names)))


def _changed(recipe: Recipe, written: StoredTensor) -> bool:
    """Look for the first row that differs from the base's, in blocks that grow."""
    base = recipe.origin
    if recipe.replaced and recipe.source is base:
        return True  # the base has none
    if base.shape != written.shape:
        return True
    rows = base.shape[0] if base.shape else 1
    start, count = 0, 16
    while start < rows:
        stop = min(rows, start + count)
        before = load_rows(base, start, stop).to(DTYPES[written.dtype])
        if not torch.equal(before, load_rows(written, start, stop)):
            return True
        start, count = stop, min(4 * count, 4096)
    return False


def _recompute(
    recipe: Recipe, written: StoredTensor, choose: random.Random, sample: _Sample
) -> None:
    # Stacked matrices are looked at as one matrix with all their rows.
    recipe_rows = recipe.rows
    written = replace(written, shape=recipe_rows)
    rows = recipe_rows[0] if recipe_rows else 1
    wanted = sorted(choose.sample(range(rows), min(ROWS, rows)))
    load = _Loader()
    factors = _column_factors(recipe, load)
    operations = 4 + max((_rank(step) for step in recipe.steps), default=0)
    for row in wanted:
        exact, size = _expected(recipe, row, factors, load)
        found = load_rows(written, row, row + 1).double().flatten()
        error = (found - exact).abs()
        allowed = 0.51 * _spacing(exact, written.dtype) + operations * _FLOAT32 * size
        if not bool((error <= allowed).all()):
            worst = float((error / allowed).max())
            raise _broken(
                recipe.name, f"row {row} is {worst:.3g} times as far from W + dW as rounding can be"
            )
        in_last_place = (error / _spacing(size, written.dtype)).max()
        sample.largest = max(sample.largest, float(in_last_place))
    sample.tensors += 1
    sample.rows += len(wanted)


def _spacing(value: torch.Tensor, dtype: str) -> torch.Tensor:
    """Return the distance of neighbouring values of a type, at each value."""
    spacing = torch.exp2(torch.frexp(value).exponent.double() - _PRECISION[dtype])
    return torch.clamp(spacing, min=_smallest(dtype))


def _rank(step: Step) -> int:
    if isinstance(step, Stack):
        return max(placed.product.a.shape[0] for placed in step.placed)
    product = step.product if isinstance(step, Dora) else step
    return product.a.shape[0] if isinstance(product, LowRank) else 0


def _smallest(dtype: str) -> float:
    info = torch.finfo(DTYPES[dtype])
    return float(info.smallest_normal * info.eps)


def _expected(
    recipe: Recipe, row: int, factors: Mapping[int, torch.Tensor], load: _Loader
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a merged row in float64, and the size of the terms that it is made of."""
    source = replace(recipe.source, shape=recipe.rows)
    value = load_rows(source, row, row + 1).double().flatten()
    size = value.abs()
    for number, step in enumerate(recipe.steps):
        if isinstance(step, LowRank | Dora):
            product = step.product if isinstance(step, Dora) else step
            change, terms = _product_row(product, row, load)
            value, size = value + change, size + terms
        if isinstance(step, Dora):
            factor = factors[number] if step.by_columns else _row_factor(step, row, value, load)
            value, size = value * factor, size * factor.abs()
        elif isinstance(step, Stack):
            for placed in step.placed:
                inside = row - placed.expert * recipe.shape[1] - placed.row
                if 0 <= inside < placed.product.shape[0]:
                    change, terms = _product_row(placed.product, inside, load)
                    value, size = value + change, size + terms
        elif isinstance(step, AddVector):
            change = load(step.vector).flatten()[row] * step.scale
            value, size = value + change, size + change.abs()
        elif isinstance(step, PutRows) and row in step.rows:
            value = load(step.values)[step.rows.index(row)]
            size = value.abs()
    return value, size


def _product_row(step: LowRank, row: int, load: _Loader) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one row of ``scale * B @ A`` as a sum of products, and the size of its terms."""
    a, b = load(step.a), load(step.b)
    products = (b * a[:, row]).T if step.transposed else b[row, :, None] * a
    return products.sum(0) * step.scale, products.abs().sum(0) * abs(step.scale)


class _Loader:
    """Reads the small matrices of one tensor once, in float64."""

    def __init__(self) -> None:
        self._views = ViewLoader()
        self._known: dict[View, torch.Tensor] = {}

    def __call__(self, view: View) -> torch.Tensor:
        if view not in self._known:
            self._known[view] = self._views.load(view, torch.float64)
        return self._known[view]


def _row_factor(step: Dora, row: int, value: torch.Tensor, load: _Loader) -> torch.Tensor:
    magnitude = load(step.magnitude).flatten()[row]
    return magnitude / math.sqrt(float((value * value).sum()))


def _column_factors(recipe: Recipe, load: _Loader) -> dict[int, torch.Tensor]:
    """Return DoRA's factors of whole columns, which no single row tells."""
    return {
        number: _factors(recipe, step, load)
        for number, step in enumerate(recipe.steps)
        if isinstance(step, Dora) and step.by_columns
    }


def _factors(recipe: Recipe, step: Dora, load: _Loader) -> torch.Tensor:
    a = load(step.product.a)
    b = load(step.product.b)
    squares = torch.zeros(recipe.shape[1], dtype=torch.float64)
    for start, stop in row_blocks(recipe.shape, 1 << 20):
        block = load_rows(recipe.source, start, stop).double()
        for rank in range(a.shape[0]):
            block += torch.outer(a[rank, start:stop], b[:, rank]) * step.product.scale
        squares += (block * block).sum(0)
    return load(step.magnitude).flatten() / squares.sqrt()


def _compare(base: StoredTensor, written: StoredTensor, choose: random.Random) -> None:
    if base.shape != written.shape:
        raise _broken(base.name, "its shape changed")
    rows = base.shape[0] if base.shape else 1
    for row in choose.sample(range(rows), min(ROWS, rows)):
        before = load_rows(base, row, row + 1).to(DTYPES[written.dtype])
        if not _same_bits(before, load_rows(written, row, row + 1)):
            raise _broken(base.name, f"row {row} is not the base's, and nothing should change it")


def _same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    # NaN is not equal to itself, its bits are.
    return torch.equal(left.flatten().view(torch.uint8), right.flatten().view(torch.uint8))


def _broken(name: str, why: str) -> IntegrityError:
    return failed_proof(f"the proof of the merge failed at {name}: {why}")
