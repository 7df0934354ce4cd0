"""The ``mlx-lora`` artifact: a PEFT adapter as mlx-lm loads it, exact or refused. Light."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from uploader_core.plugin import Artifact, Estimate, Finding, PlanContext, ReleaseInfo, StepContext
from uploader_lora import unread
from uploader_lora.where_it_runs import of_model, recorded
from uploader_lora.where_it_runs.described import Described
from uploader_merged import Checkpoint, CompanionFile, open_checkpoint
from uploader_mlx.adapter import CONFIG, WEIGHTS
from uploader_mlx.adapter.changes import Change, Changes, changes_of
from uploader_mlx.adapter.folder import AdapterFolder, plan_adapter
from uploader_mlx.architecture.installed import require, version
from uploader_mlx.kinds import Part

if TYPE_CHECKING:
    import torch

_TORCH = 190 << 20
_ADVICE = "release the whole model: --plugins mlx"


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse what mlx-lm's adapters cannot hold.

    Raises:
        PluginError: mlx or mlx-lm is not there.
        SourceError: Base and adapter do not fit together, or mlx-lm does not take the base.
    """
    checkpoint = _open(context)
    yield from unread.refusals_of_adapter(context, alone=True)
    changes, _ = _changes(checkpoint)
    for what in changes.refused:
        yield Finding(level="error", what=f"an adapter of mlx-lm cannot hold {what}", next=_ADVICE)
    if not changes.refused and not changes.exact:
        yield Finding(
            level="note",
            what="scales of modules differ by other factors than powers of two: they are folded "
            "into B, which is stored in float32 and rounded once more in its last bit",
        )


def estimate(context: PlanContext) -> Estimate:
    """Count bytes exactly from headers."""
    checkpoint = _open(context)
    folder = _plan(checkpoint, _base_model(context.release))
    sizes = {**folder.sizes, **{file.name: file.nbytes for file in _beside(checkpoint)}}
    largest = max((part.nbytes for _, part in folder.parts), default=0)
    return Estimate(
        bytes_written=sum(sizes.values()),
        peak_memory=_TORCH + 4 * largest,
        exact=True,
        files=tuple(sizes.items()),
    )


def save(context: StepContext) -> Artifact:
    """Write the adapter, tensor by tensor."""
    from uploader_merged.compute.tensors import memory

    checkpoint = _open(context)
    folder = _plan(checkpoint, _base_model(context.release))
    total, done = folder.sizes[WEIGHTS], 0
    with context.output.create(WEIGHTS) as writer:
        writer.write(folder.header)
        for change, part in folder.parts:
            writer.write(memory(_tensor(folder, change, part)))
            done += part.nbytes
            context.progress("writing", done, total)
    context.output.write(CONFIG, folder.config)
    for file in _beside(checkpoint):
        file.put(context.output)
    changes, task = folder.changes, checkpoint.task()
    where = recorded(of_model("mlx-lora", Described.of(checkpoint.base.config)), task)
    return context.artifact(
        {
            **task.to_json(),
            **where,
            "rank": changes.rank,
            "scale": changes.scale,
            "modules": len(changes.changes),
            "dora": changes.has_magnitudes,
            "mlx_lm": version(),
        }
    )


def _open(context: PlanContext | StepContext) -> Checkpoint:
    return open_checkpoint(context.input("base").path, context.input("adapter").path)


def _plan(checkpoint: Checkpoint, base_model: str | None) -> AdapterFolder:
    return plan_adapter(*_changes(checkpoint), base_model)


def _changes(checkpoint: Checkpoint) -> tuple[Changes, int]:
    """Return what the adapter does, and how many layers the model has."""
    require()
    from uploader_mlx.architecture.sanitised import sanitise

    model = sanitise(checkpoint)
    return changes_of(checkpoint, model), model.layers


def _base_model(release: ReleaseInfo) -> str | None:
    return release.base_model if release.base_is_hub_id else None


def _beside(checkpoint: Checkpoint) -> tuple[CompanionFile, ...]:
    """Return the fine-tune's own files; mlx-lm takes the base's, where it loads an adapter."""
    return tuple(file for file in checkpoint.companions() if file.origin == "fine-tune")


def _tensor(folder: AdapterFolder, change: Change, part: Part) -> torch.Tensor:
    """Return a tensor as mlx-lm has it: turned, padded with zeros, scales folded into B."""
    import torch

    from uploader_merged.compute.tensors import DTYPES, ViewLoader

    views, dtype = ViewLoader(), DTYPES[part.dtype]
    if change.magnitude is not None and part.name.endswith(".m"):
        return views.load(change.magnitude, dtype).flatten()
    at_a = part.name.endswith(".lora_a")
    experts = change.form == "experts"
    whole = torch.zeros(part.shape, dtype=dtype)
    for number, product in change.products.items():
        view = product.a if at_a else product.b
        stored = views.load(view, DTYPES[view.tensor.dtype])
        if not at_a:
            stored = _times(stored, product.scale / folder.changes.scale, dtype)
        if experts:
            rows, columns = stored.shape
            whole[number, :rows, :columns] = stored
        else:
            rows, columns = stored.shape[::-1]
            whole[:rows, :columns] = stored.T
    return whole


def _times(matrix: torch.Tensor, factor: float, dtype: torch.dtype) -> torch.Tensor:
    import torch

    if factor == 1.0:
        return matrix.to(dtype)
    return (matrix.to(torch.float64) * factor).to(dtype)
