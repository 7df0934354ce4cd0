"""Virtual opening, checks and estimates: headers and small JSON files, no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import uploader_kernels
from uploader_core.plugin import (
    Artifact,
    Estimate,
    Finding,
    Lever,
    Piece,
    PlanContext,
    SourceError,
    StepContext,
)
from uploader_lora.modules import module_findings
from uploader_lora.unread import unfetched_of
from uploader_lora.where_it_runs import Described, of_model, planned
from uploader_merged.base.custom_code import check_code
from uploader_merged.base.model import CONFIG
from uploader_merged.base.packed import original_name
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.cross_check.engines import check_engine
from uploader_merged.findings import checkpoint_findings
from uploader_merged.four_bit.layout import plan_shards as plan_4bit
from uploader_merged.four_bit.layout import select
from uploader_merged.merge_plan.stacking import AdapterChoice
from uploader_merged.original_names import settled_bytes
from uploader_merged.settings import ORIGINAL, STREAMING
from uploader_merged.sixteen_bit.folder import plan_folder
from uploader_merged.sixteen_bit.layout import main_dtype
from uploader_merged.sixteen_bit.side_by_side import side_by_side
from uploader_merged.weight_files import INDEX

# Private memory of an interpreter with torch loaded, beyond one without (torch 2.13, measured).
_TORCH = 190 << 20
# Blocks in flight (stored, summed, product, cast) of 4 Mi elements in float32.
_BLOCKS = 4 * (16 << 20)

# Bytes of a configuration, or an index, at most.
_DESCRIBED = 64 << 10


def open_virtual(context: StepContext) -> Artifact:
    """Describe base and adapter as one checkpoint; nothing is written.

    Raises:
        SourceError: The two do not fit together.
    """
    adapter = context.input("adapter")
    return _describe(context, [(str(adapter.path), 1.0)], unfetched_of(adapter))


def open_stack(context: StepContext) -> Artifact:
    """Describe base and several adapters as one checkpoint; nothing is written.

    Raises:
        SourceError: They do not fit together.
    """
    stack = context.input("adapter-stack")
    parts: Any = stack.metadata.get("adapters")
    try:
        chosen = [(str(stack.path / part["folder"]), float(part["weight"])) for part in parts]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"the list of adapters cannot be read: {type(error).__name__}: {error}",
            owner=str(stack.path),
            safe="nothing was written",
            next="report it: the list is made by uploader-core",
        ) from error
    return _describe(context, [*chosen])


def _describe(
    context: StepContext, adapters: list[AdapterChoice], unfetched: tuple[str, ...] = ()
) -> Artifact:
    base = context.input("base")
    packing = context.settings.expert_packing
    checkpoint = open_checkpoint(base.path, adapters, expert_packing=packing)
    return context.artifact(
        {
            "base": str(base.path),
            "adapters": [[str(c[0]), c[1]] for c in adapters if isinstance(c, tuple)],
            "expert_packing": packing,
            "model_id": base.metadata.get("model_id"),
            "revision": base.metadata.get("revision"),
            "unfetched": list(unfetched),
            "touched": len(checkpoint.touched),
            "tensors": len(checkpoint.names),
        }
    )


def check(context: PlanContext) -> Iterator[Finding]:
    """Open everything that the 16-bit step will read; what cannot be used raises."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    plan_folder(checkpoint, context.settings)
    yield from check_engine(context.settings.engine, checkpoint)
    if context.settings.engine != STREAMING and context.settings.names == ORIGINAL:
        yield Finding(
            level="error",
            what=f"{context.settings.engine} saves under names of its own",
            next="leave out --merged-names or --merged-engine",
        )
    yield from _losses(context, checkpoint)
    yield from _companions(checkpoint)
    yield from checkpoint_findings(checkpoint, context)
    yield from _code(context, checkpoint)
    names = () if context.settings.names == ORIGINAL else checkpoint.names
    described = Described.of(checkpoint.config, names=names)
    yield from planned("merged-16bit", of_model("16-bit", described), checkpoint.task())
    if context.settings.dtype == "auto" and main_dtype(checkpoint) == "F32":
        yield Finding(
            level="note",
            what="the base model is stored in float32, and so is the merged one",
            next="--merged-dtype bfloat16",
        )
    reason = uploader_kernels.missing()
    if context.settings.engine == STREAMING and reason is not None:
        yield Finding(
            level="note",
            what=f"torch alone merges, with the same bits in more processor time: {reason}",
        )


def check_4bit(context: PlanContext) -> Iterator[Finding]:
    """Open everything that the 4-bit step will read; what cannot be used raises."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    selection = select(checkpoint, context.settings)
    plan_4bit(checkpoint, selection, context.settings)
    yield from _losses(context, checkpoint)
    yield from _companions(checkpoint)
    yield from checkpoint_findings(checkpoint, context)
    yield from _code(context, checkpoint)
    described = Described.of(checkpoint.config, names=checkpoint.names)
    yield from planned("merged-4bit", of_model("bitsandbytes", described), checkpoint.task())
    if not selection.names:
        yield Finding(
            level="error",
            what="no linear layer of this model is known here, so nothing would become 4-bit",
            next="leave merged-4bit out of --plugins",
        )
    elif selection.experts:
        yield Finding(
            level="warning",
            what="the experts stay in 16 bits: transformers holds them in fused parameters, which "
            "bitsandbytes does not quantise, so the 4-bit model is hardly smaller",
            next="a GGUF quantises them: --plugins gguf",
        )


def _code(context: PlanContext, checkpoint: Checkpoint) -> Iterator[Finding]:
    """Look where the released model finds code of its own."""
    known = context.input("checkpoint").metadata
    model_id, revision = (
        value if isinstance(value := known.get(key), str) else None
        for key in ("model_id", "revision")
    )
    yield from check_code(checkpoint.config, checkpoint.companions(), model_id, revision)


def _losses(context: PlanContext, checkpoint: Checkpoint) -> Iterator[Finding]:
    if checkpoint.base.quantised is None:
        return
    name = context.input("checkpoint").metadata.get("model_id")
    original = original_name(name) if isinstance(name, str) else None
    yield Finding(
        level="warning",
        what=f"the base model is quantised ({checkpoint.base.quantised}); it is widened tensor by "
        "tensor, and what its quantisation lost stays lost in the merged model",
        next=f"--base {original or 'PATH_OR_ID of the 16-bit model'}",
    )


def _companions(checkpoint: Checkpoint) -> Iterator[Finding]:
    files = checkpoint.companions()
    yield from module_findings(
        {file.name: file.path for file in files},
        (*(adapter.folder for adapter in checkpoint.adapters), checkpoint.base.folder),
    )
    borrowed = [file.name for file in files if file.origin == "base"]
    if checkpoint.adapters and borrowed:
        yield Finding(
            level="note",
            what=f"taken from the base model, because the adapter has none: {', '.join(borrowed)}",
        )
    if not any(file.role == "tokenizer" for file in files):
        yield Finding(
            level="warning",
            what="neither the adapter nor the base model has tokenizer files",
            next="save the tokenizer beside the adapter: tokenizer.save_pretrained(FOLDER)",
        )


def estimate(context: PlanContext) -> Estimate:
    """Count bytes exactly from headers."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    folder = plan_folder(checkpoint, context.settings)
    sizes = dict(folder.sizes)
    renamed = settled_bytes(checkpoint, context.settings.names)
    sizes[CONFIG] += renamed
    shards = side_by_side(len(folder.shards))
    whole = 0
    if context.settings.engine != STREAMING:
        whole = 4 * sum(math.prod(checkpoint.shape(name)) for name in checkpoint.names)
    levers = []
    if whole:
        levers.append(Lever(option="--merged-engine streaming", saves=whole))
    if context.settings.dtype in ("auto", "float32") and main_dtype(checkpoint) == "F32":
        levers.append(Lever(option="--merged-dtype bfloat16", saves=sum(sizes.values()) // 2))
    return Estimate(
        bytes_written=sum(sizes.values()),
        bytes_scratch=whole,
        peak_memory=_TORCH + shards * _working_memory(checkpoint) + whole,
        # Unsloth loads the base in 16 bits before it merges.
        gpu_memory=whole // 2 if context.settings.engine == "unsloth" else 0,
        exact=not renamed,
        files=tuple(sizes.items()),
        levers=tuple(levers),
        # Another engine merges the whole model at once.
        pieces=() if whole else tuple(Piece(name=s.name, size=s.nbytes) for s in folder.shards),
    )


def estimate_4bit(context: PlanContext) -> Estimate:
    """Count bytes from headers; a few bytes for each tensor depend on the weights."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    settings = context.settings
    shards = plan_4bit(checkpoint, select(checkpoint, settings), settings)
    companions = checkpoint.companions()
    sizes = {shard.name: shard.largest for shard in shards}
    sizes |= {file.name: file.nbytes for file in companions}
    sizes |= dict.fromkeys((CONFIG, INDEX) if len(shards) > 1 else (CONFIG,), _DESCRIBED)
    largest = max(checkpoint.recipe(name).nbytes for name in checkpoint.names)
    return Estimate(
        bytes_written=sum(sizes.values()),
        peak_memory=_TORCH + _working_memory(checkpoint) + largest,
        files=tuple(sizes.items()),
        pieces=tuple(Piece(name=shard.name, size=shard.largest) for shard in shards),
    )


def _working_memory(checkpoint: Checkpoint) -> int:
    """Return bytes for the blocks in flight and the largest low-rank matrices, in float32."""
    factors = max(
        (
            sum(view.tensor.nbytes for view in checkpoint.recipe(name).consumed)
            for name in checkpoint.touched
        ),
        default=0,
    )
    return _BLOCKS + 4 * factors
