"""Parts of files: a range of tensors from one worker, for the one that puts files together.

A part begins with a digest of what it holds and ends with one of its bytes, so that neither a part
that was laid out otherwise nor one that a disk changed gets into a file.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from uploader_core.plugin import HashingWriter, IntegrityError, OutputFolder
from uploader_gguf.format.gguf_file import TensorInfo, padding
from uploader_gguf.writing.layout import File
from uploader_gguf.writing.ranges import Range
from uploader_gguf.writing.sink import Stretch

_BLOCK = 1 << 20
_RESERVE = 256 << 20
_DIGEST = hashlib.sha256().digest_size


class Parts:
    """The parts that files have of each range.

    Args:
        output: Folder of the artifact.
        alignment: Of tensor data, in bytes.
    """

    def __init__(self, output: OutputFolder, alignment: int) -> None:
        self._output, self._alignment = output, alignment

    def find(self, files: Sequence[File], tensors: Range) -> list[Path] | None:
        """Return the parts of a range, None unless there is one for each of the files."""
        found = [self._find(file, tensors) for file in files]
        return [path for path in found if path is not None] if all(found) else None

    def stretch(self, file: File, tensors: Range) -> Stretch:
        """Return what writes the part of a file."""
        infos = _infos(file, tensors)
        create = functools.partial(_create, self._output, _name(file, tensors))
        return Stretch(header=_head(infos), data=sum(map(self._padded, infos)), create=create)

    def read(
        self, files: Sequence[File], tensors: Range, paths: Sequence[Path]
    ) -> Iterator[list[bytes]]:
        """Yield the bytes of a range for each of the files, in blocks of one tensor.

        Args:
            files: That are written.
            tensors: The range.
            paths: What :meth:`find` returned.

        Raises:
            IntegrityError: A part is not what was written; it is removed.
        """
        with contextlib.ExitStack() as stack:
            handles = [stack.enter_context(path.open("rb")) for path in paths]
            digests = [hashlib.sha256(handle.read(_DIGEST)) for handle in handles]
            for index in tensors.tensors:
                for number, file in enumerate(files):
                    left = self._padded(file.tensors[index])
                    while left:
                        block = handles[number].read(min(left, _BLOCK))
                        if not block:
                            raise _changed(paths[number])
                        digests[number].update(block)
                        left -= len(block)
                        yield [block if n == number else b"" for n in range(len(files))]
            for path, handle, digest in zip(paths, handles, digests, strict=True):
                if handle.read() != digest.digest():
                    raise _changed(path)

    def spare(self, paths: Sequence[Path], needed: int) -> None:
        """Remove parts that are in the files now, where the disk has no room for both.

        Args:
            paths: Of the parts.
            needed: Bytes that are still to be written.
        """
        if shutil.disk_usage(paths[0].parent).free < needed + _RESERVE:
            for path in paths:
                path.unlink(missing_ok=True)

    def nbytes(self, files: Sequence[File], tensors: Range) -> int:
        """Return the bytes that a range has in files."""
        return sum(self._padded(info) for file in files for info in _infos(file, tensors))

    def _find(self, file: File, tensors: Range) -> Path | None:
        path = self._output.part(_name(file, tensors))
        infos = _infos(file, tensors)
        size = _DIGEST + sum(map(self._padded, infos)) + _DIGEST
        if path is None or path.stat().st_size != size:
            return None
        with path.open("rb") as handle:
            return path if handle.read(_DIGEST) == _head(infos) else None

    def _padded(self, info: TensorInfo) -> int:
        return info.nbytes + padding(info.nbytes, self._alignment)


def _infos(file: File, tensors: Range) -> tuple[TensorInfo, ...]:
    return file.tensors[tensors.tensors.start : tensors.tensors.stop]


def _name(file: File, tensors: Range) -> str:
    return f"{tensors.name}.{file.shards[0].name}"


def _head(infos: Sequence[TensorInfo]) -> bytes:
    described = [[info.name, info.shape, info.kind.name] for info in infos]
    return hashlib.sha256(json.dumps(described).encode("ascii")).digest()


@contextlib.contextmanager
def _create(output: OutputFolder, name: str) -> Iterator[HashingWriter]:
    with output.create_part(name) as writer:
        yield writer
        writer.write(bytes.fromhex(writer.sha256))


def _changed(path: Path) -> IntegrityError:
    path.unlink(missing_ok=True)
    return IntegrityError(
        f"{path.name} is not what a worker wrote: the disk changed it",
        owner=str(path.parent),
        safe="the other parts are kept",
        next="run the same command again: that part is made again",
    )
