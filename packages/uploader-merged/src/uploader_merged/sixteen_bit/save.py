"""Write ``merged-16bit``: shards front to back, hashed on the way, one shard the unit of resume.

A file's SHA-256 cannot be divided, and takes longer than the merge of what is in it. So where there
are processors for it, several shards are written side by side.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch  # noqa: TID253 - this module computes

from uploader_core.plugin import Artifact, Json, SourceError, StepContext
from uploader_lora.where_it_runs import Described, of_model, recorded
from uploader_merged.base.model import CONFIG
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.compute.arithmetic import Piece
from uploader_merged.compute.pipeline import merged_in_order, thread_pool
from uploader_merged.compute.tensors import memory
from uploader_merged.cross_check.engines import merge_with
from uploader_merged.cross_check.proof import prove
from uploader_merged.original_names import settled
from uploader_merged.settings import STREAMING
from uploader_merged.sixteen_bit.folder import plan_folder
from uploader_merged.sixteen_bit.layout import Shard
from uploader_merged.sixteen_bit.side_by_side import processors, side_by_side
from uploader_merged.weight_files import INDEX

# Elements of one piece: large enough that handing it over costs nothing beside the work.
_PIECE = 1 << 21
_FLOATS = {torch.bfloat16, torch.float16, torch.float32, torch.float64}


def save(context: StepContext) -> Artifact:
    """Merge and write the model, or those of its shards that are this worker's pieces."""
    checkpoint = settled(context.input("checkpoint"), context.settings.names)
    folder = plan_folder(checkpoint, context.settings)
    mine = [s for s in folder.shards if not context.pieces or s.name in context.pieces]
    progress = _Progress(context, sum(shard.nbytes for shard in mine))
    shards = []
    for shard in mine:
        if context.output.done(shard.name) is None:
            shards.append(shard)
        else:
            progress.add(shard.nbytes)
    with thread_pool(processors()) as pool:
        if shards:
            _write(context, _merged(context, checkpoint), shards, pool, progress)
        if context.pieces:
            return context.artifact()
        context.progress("proving", 0, 1, "steps")
        # In here, where torch computes in one thread: the rows are short, and waking others for
        # each of them takes longer than the work.
        files = [context.output.path / shard.name for shard in folder.shards]
        dtypes = {tensor.name: tensor.dtype for shard in folder.shards for tensor in shard.tensors}
        proof = prove(checkpoint, files, dtypes)
        context.progress("proving", 1, 1, "steps")
    if folder.index is not None:
        context.output.write(INDEX, folder.index)
    if folder.config is None:
        context.output.copy(checkpoint.base.folder / CONFIG, CONFIG)
    else:
        context.output.write(CONFIG, folder.config)
    for file in folder.companions:
        file.put(context.output)
    engine = context.settings.engine
    return context.artifact({**_describe(checkpoint), "engine": engine, "proof": proof})


def _merged(context: StepContext, checkpoint: Checkpoint) -> Checkpoint:
    """Return the checkpoint itself, or what another engine made of it when asked."""
    engine = context.settings.engine
    if engine == STREAMING:
        return checkpoint
    context.progress(f"merging with {engine}", 0, 1, "models")
    return merge_with(engine, checkpoint, context.work / "engine")


def _write(
    context: StepContext,
    checkpoint: Checkpoint,
    shards: Sequence[Shard],
    pool: ThreadPoolExecutor,
    progress: _Progress,
) -> None:
    """Write shards, as many side by side as there are pairs of processors."""
    failures: list[BaseException] = []

    def write(shard: Shard) -> None:
        try:
            with context.output.create(shard.name) as writer:
                progress.add(writer.write(shard.header))
                for block in merged_in_order(pool, _pieces(checkpoint, shard)):
                    if failures:
                        raise failures[0]
                    progress.add(writer.write(memory(block)))
        except BaseException as error:
            failures.append(error)
            raise

    with thread_pool(side_by_side(len(shards))) as writers:
        writing = [writers.submit(write, shard) for shard in shards]
        try:
            for future in writing:
                future.result()
        except BaseException as error:
            failures.append(error)
            raise


class _Progress:
    def __init__(self, context: StepContext, total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self.add(0)

    def add(self, nbytes: int) -> None:
        with self._lock:
            self._done += nbytes
            self._context.progress("merging", self._done, self._total)


def _pieces(checkpoint: Checkpoint, shard: Shard) -> Iterator[Piece]:
    """Yield the work that makes a shard's bytes, in their order."""
    for tensor in shard.tensors:
        for piece in checkpoint.pieces(tensor.name, elements=_PIECE, dtype=tensor.dtype):
            if checkpoint.adapters:
                yield piece
            else:
                whole = functools.partial(_refuse_nan, checkpoint, tensor.name, piece.merge)
                yield Piece(piece.read, whole)


def _refuse_nan(
    checkpoint: Checkpoint,
    name: str,
    merge: Callable[[torch.Tensor], torch.Tensor],
    stored: torch.Tensor,
) -> torch.Tensor:
    """Refuse a full fine-tune that diverged; what an adapter changes is looked at when it is added.

    Infinity may be meant, in a mask that was saved with the weights.
    """
    made = merge(stored)
    # The largest of numbers with NaN among them is NaN, found 20 times as fast as by isnan.
    if made.dtype in _FLOATS and made.numel() and torch.isnan(made.max()):
        raise SourceError(
            f"{name} holds NaN, which makes every answer of the model useless",
            owner=str(checkpoint.base.tensors[name].file),
            safe="no weight file with it was finished",
            next="take an earlier checkpoint; the training diverged before this one",
        )
    return made


def _describe(checkpoint: Checkpoint) -> dict[str, Json]:
    task = checkpoint.task()
    return {
        "tensors": len(checkpoint.names),
        "config_changed": checkpoint.config_changed,
        **task.to_json(),
        **recorded(
            of_model("16-bit", Described.of(checkpoint.config, names=checkpoint.names)), task
        ),
        "from_base": [
            file.name
            for file in checkpoint.companions()
            if checkpoint.adapters and file.origin == "base"
        ],
    }
