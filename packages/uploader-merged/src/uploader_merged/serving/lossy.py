"""What the plan says of ``lora-serving-lossy``: a plain adapter near one that has no plain form.

DoRA, modules that are stored whole and trained tokens become the nearest low-rank products. How far
each is from what was trained, and how far the answers are, is in the metadata and on the card.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from uploader_core.plugin import Estimate, Finding, PlanContext, RefusedError, StepContext
from uploader_lora import unread
from uploader_lora.save import beside
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.serving.changes import Changes, changes_of
from uploader_merged.serving.save import not_served
from uploader_merged.settings import ServingLossySettings
from uploader_merged.vocabulary import check_tokenizer

MERGE = "merge it instead: --plugins merged"

_TORCH = 700 << 20
_KEPT = 1 << 25
"""Elements of a difference that the decomposition keeps in memory, at most."""

_PACE = 8e9
"""Multiplications of one processor in a second."""

_PRODUCTS = 15
"""Products of a matrix with narrow ones that its decomposition takes."""


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse what no low-rank product comes near, and what needs none.

    Raises:
        SourceError: Adapter and base cannot be read, or do not fit together.
    """
    checkpoint = opened(context)
    beside(checkpoint.adapters[0].folder)
    yield from unread.refusals_of_adapter(context, alone=True)
    yield from check_tokenizer(checkpoint)
    changes = changes_of(checkpoint)
    for what in changes.none:
        yield Finding(level="error", what=f"no low-rank product comes near {what}", next=MERGE)
    if not (changes.near or changes.vectors or changes.none):
        yield Finding(
            level="note",
            what="every change of this adapter is a low-rank product already",
            next="--plugins lora-serving, which needs no base",
        )
    rank = rank_of(checkpoint, changes, context.settings)
    for what in dict.fromkeys(change.what for change in changes.near):
        count = sum(change.what == what for change in changes.near)
        yield Finding(
            level="warning",
            what=f"{what} of {count} modules becomes products of rank {rank}, which are near it "
            "and not it; the card says how near",
            next="--plugins lora-serving-lossy was asked for; merged-16bit is exact",
        )
    (adapter,) = checkpoint.adapters
    near = [change.module for change in changes.near]
    base = checkpoint.base.folder
    yield from not_served("lora-serving-lossy", adapter, rank, near, base)


def opened(context: PlanContext | StepContext) -> Checkpoint:
    """Return base and adapter of a step.

    Raises:
        SourceError: They do not fit together.
    """
    return open_checkpoint(context.input("base").path, context.input("adapter").path)


def rank_of(checkpoint: Checkpoint, changes: Changes, settings: ServingLossySettings) -> int:
    """Return the one rank: as asked, or the highest that the adapter was trained with.

    Raises:
        RefusedError: Products that are exact would be cut.
    """
    (adapter,) = checkpoint.adapters
    highest = max((update.rank for update in adapter.updates), default=adapter.config.r)
    rank = settings.serving_rank or highest
    needed = max((update.rank for update in changes.exact), default=1)
    if rank < needed:
        raise RefusedError(
            f"a rank of {rank} cuts products of rank {needed} that are exact",
            owner="option --merged-serving-rank",
            safe="nothing was written",
            next=f"--merged-serving-rank {needed}, or a higher one",
        )
    return rank


def estimate(context: PlanContext) -> Estimate:
    """Count A and B of every module at the one rank, in float32."""
    settings: ServingLossySettings = context.settings
    checkpoint = opened(context)
    (adapter,) = checkpoint.adapters
    changes = changes_of(checkpoint)
    rank = rank_of(checkpoint, changes, settings)
    shapes = [checkpoint.shape(change.name) for change in changes.near]
    values = rank * sum(
        sum(math.prod(t.shape) // u.rank for t in (u.a, u.b)) for u in changes.exact
    )
    values += rank * sum(map(sum, shapes))
    largest = max((math.prod(shape) for shape in shapes), default=0)
    companions = sum(path.stat().st_size for path, _ in beside(adapter.folder).values())
    size = 4 * values + 256 * (len(changes.exact) + len(changes.near)) + 8192
    sizes = [math.prod(checkpoint.shape(name)) for name in checkpoint.names]
    tokens = settings.serving_contexts * 512
    work = _PRODUCTS * (rank + 16) * sum(map(math.prod, shapes)) + 2 * tokens * sum(sizes)
    return Estimate(
        bytes_written=size + companions,
        bytes_scratch=2 * tokens * max(checkpoint.shape(name)[0] for name in checkpoint.names),
        seconds=10 + work / _PACE,
        peak_memory=_TORCH + 8 * min(largest, _KEPT) + 10 * max(sizes) + 12 * values,
    )
