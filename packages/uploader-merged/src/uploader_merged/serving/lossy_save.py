"""Write ``lora-serving-lossy``: decompose what has no plain form, and measure what comes of it.

Heavy: imports torch.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch  # noqa: TID253 - this module computes

from uploader_core.plugin import Artifact, Json, SourceError, StepContext
from uploader_lora.reading import read_adapter
from uploader_lora.where_it_runs import Described, of_adapter, recorded
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.compute.tensors import load, load_rows, save_tensors
from uploader_merged.serving.changes import Change, Changes, changes_of
from uploader_merged.serving.lossy import MERGE, opened, rank_of
from uploader_merged.serving.low_rank import Difference, Factors, nearest
from uploader_merged.serving.measured import measured
from uploader_merged.serving.one_scale import OneScale, one_scale, rescaled
from uploader_merged.serving.save import WEIGHTS, write_beside
from uploader_merged.settings import ServingLossySettings

_PREFIX = "base_model.model."


def save(context: StepContext) -> Artifact:
    """Write the adapter, and measure it."""
    settings: ServingLossySettings = context.settings
    checkpoint = opened(context)
    (adapter,) = checkpoint.adapters
    changes = changes_of(checkpoint)
    rank = rank_of(checkpoint, changes, settings)
    dropped = _dropped(checkpoint, changes)
    scale, tensors = _exact(checkpoint, changes, rank)
    modules: list[Json] = []
    for number, change in enumerate(changes.near):
        context.progress("decomposing", number, len(changes.near), "modules")
        factors = _nearest(checkpoint, change, rank)
        if factors is not None:
            tensors |= _named(change, factors, scale.alpha / rank)
            modules.append({"module": change.module, "what": change.what,
                            "error": float(f"{factors.error:.4g}")})  # fmt: skip
    if not tensors:
        raise SourceError(
            "the adapter changes nothing",
            owner=str(adapter.folder),
            safe="nothing was written",
            next="take a checkpoint of the training that was trained",
        )
    if context.output.done(WEIGHTS) is None:
        with context.output.reserve(WEIGHTS) as target:
            stored = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_tensors(stored, target)
    modules_of = {name.removeprefix(_PREFIX).rsplit(".lora_", 1)[0] for name in tensors}
    task = checkpoint.task()
    write_beside(context, adapter, scale, modules_of)
    written = read_adapter(context.output.path)
    base = Described.of(checkpoint.base.config)
    return context.artifact(
        {
            **task.to_json(),
            **recorded(of_adapter(written, base, trained=adapter), task),
            "rank": rank,
            "alpha": scale.alpha,
            "exact": scale.exact and not modules,
            "modules": len(written.updates),
            "lossy": modules,
            "dropped": [*dropped],
            "fidelity": measured(context, checkpoint, settings),
        }
    )


def _dropped(checkpoint: Checkpoint, changes: Changes) -> tuple[str, ...]:
    """Return the biases and norms that are stored and not changed.

    Raises:
        SourceError: One is changed, and a server would leave it out.
    """
    for name in changes.vectors:
        recipe = checkpoint.recipe(name)
        before = load(recipe.origin).float()
        if not bool((checkpoint.widened().read(name) == before).all()):
            raise SourceError(
                f"{name} was changed by the training, and servers of adapters hold no biases or "
                "norms",
                owner=str(checkpoint.adapters[0].folder),
                safe="nothing was written",
                next=MERGE,
            )
    return changes.vectors


def _exact(
    checkpoint: Checkpoint, changes: Changes, rank: int
) -> tuple[OneScale, dict[str, torch.Tensor]]:
    """Return the scale, and the products that need no decomposition."""
    (adapter,) = checkpoint.adapters
    if not changes.exact:
        return OneScale(rank=rank, alpha=float(rank), factors=()), {}
    plain = replace(adapter, updates=changes.exact)
    scale = one_scale(plain, padded=True, least=rank)
    return scale, rescaled(plain, scale)


def _nearest(checkpoint: Checkpoint, change: Change, rank: int) -> Factors | None:
    wide, origin = checkpoint.widened(), checkpoint.recipe(change.name).origin

    def rows(start: int, stop: int) -> torch.Tensor:
        return (
            wide.read_rows(change.name, start, stop).float()
            - load_rows(origin, start, stop).float()
        )

    height, width = checkpoint.shape(change.name)
    return nearest(Difference(rows, (height, width)), rank, torch.float32)


def _named(change: Change, factors: Factors, scale: float) -> dict[str, torch.Tensor]:
    """Return A and B by the names that PEFT gives them; ``scale * B @ A`` is the product."""
    b, a = (factors.right.T, factors.left.T) if change.transposed else (factors.left, factors.right)
    kinds = ("lora_embedding_A", "lora_embedding_B")
    if change.form == "matrix":
        kinds = ("lora_A.weight", "lora_B.weight")
    root = math.sqrt(scale)
    return {
        f"{_PREFIX}{change.module}.{kind}": part / root
        for kind, part in zip(kinds, (a, b), strict=True)
    }
