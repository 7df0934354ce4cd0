"""Write all schemes of a run in one pass: each tensor is read and merged once.

Heavy: imports torch.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch  # noqa: TID253 - this module computes

import uploader_kernels
from uploader_compressed.encode import NotFiniteError, global_scale, largest
from uploader_compressed.folder import plan_folder
from uploader_compressed.proof import prove_written
from uploader_compressed.schemes import BLOCK
from uploader_compressed.selection import fused_with, open_apart
from uploader_compressed.shard_file import ShardFile
from uploader_compressed.target import Rows, Target
from uploader_core.plugin import Artifact, SourceError, StepContext
from uploader_lora.where_it_runs import Described, of_model, recorded
from uploader_merged import Checkpoint
from uploader_merged.base.model import CONFIG
from uploader_merged.compute.pipeline import in_order, keep_freed_memory, thread_pool
from uploader_merged.sixteen_bit.side_by_side import processors
from uploader_merged.weight_files import INDEX

# Elements of one piece: large enough that handing it over costs nothing beside the work.
_PIECE = 1 << 20


def save(contexts: tuple[StepContext, ...]) -> tuple[Artifact, ...]:
    """Merge, quantise and write the model, once for each scheme.

    A worker that makes pieces writes their files, and another one proves all of them.
    """
    checkpoint = open_apart(contexts[0].input("checkpoint"), contexts[0].settings.ignore)
    targets = [
        Target(context, plan_folder(checkpoint, context.variant, context.settings))
        for context in contexts
    ]
    keep_freed_memory()
    for target in targets:
        target.calibrate(checkpoint)
    with thread_pool(processors()) as pool:
        work = _Work(checkpoint, pool)
        # All have the same cuts, because the settings are the same.
        for number in range(len(targets[0].folder.shards)):
            work.write([target for target in targets if target.takes(number)], number)
        if contexts[0].pieces:
            return tuple(context.artifact() for context in contexts)
        for target in targets:
            target.context.progress("proving", 0, 1, "steps")
            target.proof = prove_written(
                checkpoint, target.folder, target.context.output.path, target.calibrated
            )
            target.context.progress("proving", 1, 1, "steps")
    return tuple(_finish(checkpoint, target) for target in targets)


def _finish(checkpoint: Checkpoint, target: Target) -> Artifact:
    context, folder = target.context, target.folder
    described = Described.of(checkpoint.config, folder.scheme.name, checkpoint.names)
    if folder.index is not None:
        context.output.write(INDEX, folder.index)
    context.output.write(CONFIG, folder.config)
    for file in folder.companions:
        file.put(context.output)
    task = checkpoint.task()
    return context.artifact(
        {
            **task.to_json(),
            **recorded(of_model("compressed", described), task),
            "scheme": folder.scheme.name,
            "format": folder.scheme.form,
            "group_size": folder.scheme.group or None,
            **({} if target.calibration is None else {"calibration": dict(target.calibration)}),
            "quantised": len(folder.selection.names),
            "kept_in_16_bit": [*folder.selection.ignored],
            "parameters": sum(math.prod(checkpoint.shape(name)) for name in checkpoint.names),
            "proof": dict(target.proof or {}),
        }
    )


class _Work:
    """Reads, merges and quantises ahead in threads, and writes what comes, in order."""

    def __init__(self, checkpoint: Checkpoint, pool: ThreadPoolExecutor) -> None:
        self._checkpoint = checkpoint
        self._pool = pool
        self._kernels = uploader_kernels.load_if_there()
        self._overall: dict[str, torch.Tensor] = {}

    def write(self, targets: Sequence[Target], number: int) -> None:
        """Write one file of each target, unless an interrupted attempt finished it."""
        with contextlib.ExitStack() as stack:
            files: list[ShardFile] = []
            for target in targets:
                shard = target.folder.shards[number]
                if target.resumes(shard):
                    target.progress(shard.nbytes)
                    continue
                writer = stack.enter_context(target.context.output.create(shard.name))
                # Hashing takes as long as quantising; each file has a thread for it.
                storer = stack.enter_context(ThreadPoolExecutor(1))
                files.append(ShardFile(target, shard, writer, storer))
            if files:
                self._fill(files)

    def _fill(self, files: Sequence[ShardFile]) -> None:
        sources = files[0].shard.sources
        quantised = frozenset(files[0].target.folder.selection.names)
        with ThreadPoolExecutor(1, thread_name_prefix="reading") as reader:
            for source, results in in_order(self._started(files, sources, quantised, reader)):
                for file, parts in zip(files, results, strict=True):
                    file.add(source, parts)
        for file in files:
            file.finish({name: self._constant(file, name) for name in file.constants})

    def _constant(self, file: ShardFile, name: str) -> torch.Tensor:
        """Return what belongs to a whole matrix."""
        stored = file.constants[name]
        if stored.part.ending == "weight_shape":
            return torch.tensor(self._checkpoint.shape(stored.source))
        return self._overall[stored.source]

    def _started(
        self,
        files: Sequence[ShardFile],
        sources: Sequence[str],
        quantised: frozenset[str],
        reader: ThreadPoolExecutor,
    ) -> Iterator[Future[tuple[str, list[tuple[torch.Tensor, ...]]]]]:
        targets = [file.target for file in files]
        for source in sources:
            overall = None
            if source in quantised and any(
                target.folder.scheme.strategy == "tensor_group" for target in targets
            ):
                overall = self._scale_of_all(source, quantised)
            for rows in self._rows(source, source in quantised, overall):
                stored = reader.submit(rows.piece.read)
                yield self._pool.submit(functools.partial(self._make, targets, rows, stored))

    def _make(
        self, targets: Sequence[Target], rows: Rows, stored: Future[torch.Tensor]
    ) -> tuple[str, list[tuple[torch.Tensor, ...]]]:
        merged = rows.piece.merge(stored.result())
        if not rows.quantised:
            return rows.source, [(merged,)] * len(targets)
        try:
            return rows.source, [target.encode(rows, merged, self._kernels) for target in targets]
        except NotFiniteError as error:
            raise self._not_finite(rows.source) from error

    def _rows(
        self, source: str, quantised: bool, overall: torch.Tensor | None = None
    ) -> Iterator[Rows]:
        """Yield a tensor as work; what is quantised in whole blocks of rows."""
        columns = self._checkpoint.shape(source)[1] if quantised else 1
        height = max(BLOCK, _PIECE // columns // BLOCK * BLOCK)
        pieces = self._checkpoint.pieces(source, elements=columns * height)
        for number, piece in enumerate(pieces):
            yield Rows(source, number * height, piece, quantised, overall)

    def _scale_of_all(self, source: str, quantised: frozenset[str]) -> torch.Tensor:
        """Return the scale of a whole tensor, which has to be known before its first row is."""
        if source not in self._overall:
            names = fused_with(source, quantised)
            with ThreadPoolExecutor(1) as reader:
                magnitude = functools.reduce(torch.maximum, self._magnitudes(names, reader))
            self._overall.update(dict.fromkeys(names, global_scale(magnitude)))
        return self._overall[source]

    def _magnitudes(
        self, names: Sequence[str], reader: ThreadPoolExecutor
    ) -> Iterator[torch.Tensor]:
        for name in names:
            try:
                yield from in_order(
                    self._pool.submit(
                        lambda p, stored: largest(p.merge(stored.result())),
                        rows.piece,
                        reader.submit(rows.piece.read),
                    )
                    for rows in self._rows(name, quantised=True)
                )
            except NotFiniteError as error:
                raise self._not_finite(name) from error

    def _not_finite(self, name: str) -> SourceError:
        return SourceError(
            f"{name} holds NaN or infinity, so it cannot be quantised",
            owner=str(self._checkpoint.recipe(name).source.file),
            safe="no weight file with it was finished",
            next="take another copy of the model, or an earlier checkpoint of the training",
        )
