"""Write all kinds of a run in one pass: each tensor is read and merged once.

Heavy: imports torch and mlx.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch  # noqa: TID253 - this module computes

import uploader_kernels
from uploader_core.plugin import Artifact, HashingWriter, SourceError, StepContext
from uploader_lora.where_it_runs import Described, of_model, recorded
from uploader_merged import Checkpoint
from uploader_merged.base.model import CONFIG
from uploader_merged.compute.arithmetic import Piece
from uploader_merged.compute.pipeline import in_order, keep_freed_memory, thread_pool
from uploader_merged.compute.tensors import DTYPES, memory
from uploader_merged.sixteen_bit.side_by_side import processors
from uploader_merged.weight_files import INDEX
from uploader_mlx.architecture.described import Output
from uploader_mlx.architecture.installed import version
from uploader_mlx.architecture.results import Results
from uploader_mlx.encode import NotHeldError, encode
from uploader_mlx.folder import Folder, open_for_mlx, plan_folder
from uploader_mlx.kinds import SIXTEEN
from uploader_mlx.layout import Shard, Stored
from uploader_mlx.proof import prove_written

# Elements of one piece: large enough that handing it over costs nothing beside the work.
_PIECE = 1 << 20

Parts = tuple[memoryview, ...]


def save(contexts: tuple[StepContext, ...]) -> tuple[Artifact, ...]:
    """Merge, quantise and write the model, once for each kind.

    A worker that makes pieces writes their files, and another one proves all of them.
    """
    checkpoint = open_for_mlx(contexts[0].input("checkpoint"))
    targets = [
        _Target(context, plan_folder(checkpoint, context.variant or SIXTEEN, context.settings))
        for context in contexts
    ]
    keep_freed_memory()
    with contextlib.ExitStack() as stack, thread_pool(processors()) as pool:
        for target in targets:
            stack.callback(target.abandon)
        _write(checkpoint, targets, pool)
        if contexts[0].pieces:
            return tuple(context.artifact() for context in contexts)
        for target in targets:
            target.prove(checkpoint)
    return tuple(_finish(checkpoint, target) for target in targets)


@dataclass
class _Target:
    """One kind of the run, and how far it is."""

    context: StepContext
    folder: Folder
    done: int = 0
    proof: Mapping[str, int] | None = None
    file: _File | None = None
    places: dict[str, tuple[Shard, Stored]] = field(default_factory=dict)
    total: int = 0

    def __post_init__(self) -> None:
        pieces = self.context.pieces
        mine = [s for s in self.folder.shards if not pieces or s.name in pieces]
        self.total = sum(shard.nbytes for shard in mine)
        for shard in mine:
            if self.context.output.done(shard.name) is not None:
                self.progress(shard.nbytes)
                continue
            self.places |= {stored.output.name: (shard, stored) for stored in shard.stored}

    def add(self, name: str, parts: Parts, *, last: bool) -> None:
        """Take rows of a tensor, in order.

        Args:
            name: Of the tensor in 16 bits.
            parts: Themselves, or codes, scales and biases.
            last: Whether they are its last ones.
        """
        if name not in self.places:
            return
        shard, stored = self.places[name]
        if self.file is None:
            self.file = _File(self.context, shard, self.progress)
        self.file.add(stored, parts)
        if last:
            self.file.close(stored)
            if stored is shard.stored[-1]:
                self.file.commit()
                self.file = None

    def abandon(self) -> None:
        """Leave a file that is not finished."""
        if self.file is not None:
            self.file.abandon()

    def progress(self, nbytes: int) -> None:
        self.done += nbytes
        self.context.progress("quantising", self.done, self.total)

    def prove(self, checkpoint: Checkpoint) -> None:
        self.context.progress("proving", 0, 1, "steps")
        self.proof = prove_written(checkpoint, self.folder, self.context.output.path)
        self.context.progress("proving", 1, 1, "steps")


def _finish(checkpoint: Checkpoint, target: _Target) -> Artifact:
    context, folder = target.context, target.folder
    context.output.write(INDEX, folder.index)
    context.output.write(CONFIG, folder.config)
    for file in folder.companions:
        file.put(context.output)
    task, selection = checkpoint.task(), folder.selection
    described = Described.of(checkpoint.config)
    return context.artifact(
        {
            **task.to_json(),
            **recorded(of_model("mlx", described), task),
            "kind": folder.kind,
            "quantised": len(selection.modules),
            "kept_in_16_bit": [*selection.kept],
            "left_out": len(folder.model.dropped),
            "parameters": folder.model.parameters,
            "mlx_lm": version(),
            "proof": dict(target.proof or {}),
        }
    )


def _write(checkpoint: Checkpoint, targets: Sequence[_Target], pool: ThreadPoolExecutor) -> None:
    """Read, merge and quantise ahead in threads, and hand on what comes, in order."""
    model = targets[0].folder.model
    results = Results(checkpoint, model)
    make = _Maker(checkpoint, uploader_kernels.load_if_there())

    def started(reader: ThreadPoolExecutor) -> Iterator[Future[tuple[str, list[Parts], bool]]]:
        for output in model.outputs:
            wanted = [
                t.places[output.name][1] if output.name in t.places else None for t in targets
            ]
            if not any(wanted):
                continue
            pieces = _pieces(checkpoint, results, output, reader)
            for rows, last in _with_last(pieces):
                yield pool.submit(make, wanted, output, rows, last)

    with ThreadPoolExecutor(1, thread_name_prefix="reading") as reader:
        for name, made, last in in_order(started(reader)):
            for target, parts in zip(targets, made, strict=True):
                target.add(name, parts, last=last)


def _pieces(
    checkpoint: Checkpoint, results: Results, output: Output, reader: ThreadPoolExecutor
) -> Iterator[Callable[[], torch.Tensor]]:
    """Yield rows of a tensor as work; whole rows always."""
    columns = output.shape[-1] if len(output.shape) > 1 else 1
    height = max(1, _PIECE // max(1, columns))
    if output.computed:
        yield from results.rows(output, height)
        return
    for source in output.sources:
        for piece in checkpoint.pieces(source, elements=columns * height):
            stored = reader.submit(piece.read)
            yield functools.partial(_merged, piece, stored)


def _merged(piece: Piece, stored: Future[torch.Tensor]) -> torch.Tensor:
    return piece.merge(stored.result())


def _with_last(pieces: Iterator[Callable[[], torch.Tensor]]) -> Iterator[
    tuple[Callable[[], torch.Tensor], bool]
]:  # fmt: skip
    """Say of each piece whether it is the last."""
    before = next(pieces)
    for piece in pieces:
        yield before, False
        before = piece
    yield before, True


class _Maker:
    """Merges rows, and makes of them what each target stores.

    Args:
        checkpoint: The model.
        kernels: The compiled ones, where they are.
    """

    def __init__(self, checkpoint: Checkpoint, kernels: uploader_kernels.Library | None) -> None:
        self._checkpoint = checkpoint
        self._kernels = kernels

    def __call__(
        self,
        wanted: Sequence[Stored | None],
        output: Output,
        rows: Callable[[], torch.Tensor],
        last: bool,
    ) -> tuple[str, list[Parts], bool]:
        """Return the name of the tensor, parts by target, and whether they are its last ones."""
        merged = rows().to(DTYPES[output.dtype]).contiguous()
        if output.shape:
            merged = merged.reshape(-1, output.shape[-1])
        return output.name, [self._parts(one, merged) for one in wanted], last

    def _parts(self, stored: Stored | None, rows: torch.Tensor) -> Parts:
        if stored is None:
            return ()
        if stored.how is None:
            return (memory(rows),)
        try:
            return encode(stored.how, rows, self._kernels)
        except NotHeldError as error:
            source = stored.output.sources[0]
            raise SourceError(
                f"{stored.output.name} {error}, so it cannot be quantised",
                owner=str(self._checkpoint.recipe(source).source.file),
                safe="no weight file with it was finished",
                next="take another copy of the model, or an earlier checkpoint of the training; "
                "one matrix alone may stay in 16 bits: --mlx-overrides REGEX=16bit",
            ) from error


class _File:
    """A file that is being written.

    Args:
        context: Whose output it is a part of.
        shard: What it is to hold.
        progress: Is told how many bytes are written.
    """

    def __init__(self, context: StepContext, shard: Shard, progress: Callable[[int], None]) -> None:
        self._tail = {name: bytearray() for name in shard.tail}
        self._waiting: dict[str, bytearray] = {}
        self._progress = progress
        self._pending: list[Future[int]] = []
        with contextlib.ExitStack() as stack:
            self._writer: HashingWriter = stack.enter_context(context.output.create(shard.name))
            # Hashing takes as long as quantising; each file has a thread for it.
            self._storer = stack.enter_context(ThreadPoolExecutor(1))
            self._stack = stack.pop_all()
        self._store(shard.header)

    def add(self, stored: Stored, parts: Parts) -> None:
        """Take rows: the first part is written, scales wait until all codes are there."""
        for number, (part, data) in enumerate(zip(stored.parts, parts, strict=True)):
            if part.name in self._tail:
                self._tail[part.name] += data
            elif number:
                self._waiting.setdefault(part.name, bytearray()).extend(data)
            else:
                self._store(data)

    def close(self, stored: Stored) -> None:
        """Write what waited for the last row of a tensor."""
        for part in stored.parts:
            if part.name in self._waiting:
                self._store(self._waiting.pop(part.name))

    def commit(self) -> None:
        """Write the tail, and wait until all is written."""
        for data in self._tail.values():
            self._store(data)
        while self._pending:
            self._pending.pop(0).result()
        self._stack.close()

    def abandon(self) -> None:
        """End without a file; what was written is removed with the scratch folder."""
        with contextlib.suppress(_AbandonedError):
            self._stack.__exit__(_AbandonedError, _AbandonedError(), None)

    def _store(self, data: bytes | bytearray | memoryview) -> None:
        while len(self._pending) > 1:
            self._pending.pop(0).result()
        self._pending.append(self._storer.submit(self._writer.write, data))
        self._progress(len(data))


class _AbandonedError(Exception):
    """Ends a file that is not complete."""
