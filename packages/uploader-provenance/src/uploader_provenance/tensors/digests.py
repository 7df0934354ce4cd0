"""Digests of tensors: of each, and of a set of them whatever the files and the order.

The digest of a set is the SHA-256 of one line of JSON for each tensor, ``["name", "type", [shape],
"sha256"]``, in the order of the names: the same weights in other shards have the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import Json, SourceError, StoredTensor, read_header

SCHEMA = "uploader.tensors/1"
NAME = "tensor_digests.json"
SUFFIXES = (".safetensors", ".gguf")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_BLOCK = 4 << 20
_THREADS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorDigest:
    """One tensor.

    Attributes:
        name: In its file.
        dtype: Type as the file's format calls it (``BF16``, ``Q4_K``).
        shape: Slowest axis first.
        sha256: Of its bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def row(self) -> list[Json]:
        return [self.name, self.dtype, [*self.shape], self.sha256]


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """The tensors of one set of weights, of however many files.

    Attributes:
        files: Their names.
        tensors: In the order of their names.
    """

    files: tuple[str, ...]
    tensors: tuple[TensorDigest, ...]

    @property
    def digest(self) -> str:
        """Digest of the set, which does not depend on files and order."""
        lines = (json.dumps(t.row, separators=(",", ":")) + "\n" for t in self.tensors)
        return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()


def digest_weights(
    folder: Path, names: Iterable[str], tick: Callable[[int], None] = lambda _: None
) -> dict[str, Weights]:
    """Digest the tensors of the files of a folder.

    Args:
        folder: Where they are.
        names: Names of files; what is neither safetensors nor GGUF is passed over.
        tick: Called with the bytes that were read so far.

    Returns:
        By the name of the set: that of the file without its number and suffix. Each GGUF is a set
        of its own, and so are the weights in a folder below.

    Raises:
        SourceError: A file cannot be read, or two shards of a set have a tensor of one name.
    """
    files: dict[str, list[str]] = {}
    for name in sorted(names):
        stem, dot, suffix = name.rpartition(".")
        if dot + suffix in SUFFIXES:
            files.setdefault(_SHARD.sub("", stem), []).append(name)
    read = _Count(tick)
    return {stem: _digest_set(folder, mine, read) for stem, mine in files.items()}


def weights_to_json(weights: Mapping[str, Weights]) -> dict[str, Json]:
    """Return what ``tensor_digests.json`` says of some sets."""
    return {
        stem: {
            "files": [*found.files],
            "digest": found.digest,
            "tensors": [tensor.row for tensor in found.tensors],
        }
        for stem, found in sorted(weights.items())
    }


def weights_from_json(data: Mapping[str, Any]) -> dict[str, Weights]:
    """Return the sets that a ``tensor_digests.json`` lists.

    Args:
        data: Of :func:`weights_to_json`, as somebody wrote it.

    Raises:
        ValueError: The digest of a set is not that of its tensors, or a tensor has no four fields.
        KeyError: A field is missing.
        TypeError: A field has another type.
    """
    found = {}
    for stem, told in data.items():
        tensors = tuple(
            TensorDigest(name=str(n), dtype=str(d), shape=tuple(map(int, s)), sha256=str(h))
            for n, d, s, h in told["tensors"]
        )
        found[stem] = Weights(files=tuple(map(str, told["files"])), tensors=tensors)
        if found[stem].digest != told["digest"]:
            raise ValueError(f"the digest of {stem[:80]!r} is not that of its tensors")
    return found


class _Count:
    def __init__(self, tick: Callable[[int], None]) -> None:
        self._tick, self._done = tick, 0

    def add(self, size: int) -> None:
        self._done += size
        self._tick(self._done)


def _digest_set(folder: Path, files: list[str], read: _Count) -> Weights:
    stored = [tensor for name in files for tensor in _tensors_of(folder / name)]
    names = [tensor.name for tensor in stored]
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(
            f"{' and '.join(files)} have the tensor {twice!r} twice",
            owner=str(folder),
            safe="nothing was written",
            next="make the release again",
        )
    with ThreadPoolExecutor(_THREADS) as pool:
        found = []
        for tensor, digest in zip(stored, pool.map(_digest, stored), strict=True):
            read.add(tensor.nbytes)
            found.append(
                TensorDigest(
                    name=tensor.name, dtype=tensor.dtype, shape=tensor.shape, sha256=digest
                )
            )
    return Weights(files=tuple(files), tensors=tuple(sorted(found, key=lambda t: t.name)))


def _tensors_of(path: Path) -> list[StoredTensor]:
    if path.suffix == ".gguf":
        return _tensors_of_gguf(path)
    return [*read_header(path).tensors.values()]


def _tensors_of_gguf(path: Path) -> list[StoredTensor]:
    try:
        # Where a release has GGUF files, what made them is at hand, or is to be had.
        from uploader_gguf.format import gguf_file
    except ImportError as error:
        raise SourceError(
            f"{path.name} can be read where uploader-gguf is installed",
            safe="nothing was written",
            next="pip install uploader-gguf",
        ) from error
    header = gguf_file.read_header(path)
    return [
        StoredTensor(
            name=tensor.name,
            dtype=tensor.kind.name,
            shape=tensor.shape,
            file=path,
            offset=offset,
            nbytes=tensor.nbytes,
        )
        for tensor, offset in zip(header.tensors, header.offsets, strict=True)
    ]


def _digest(tensor: StoredTensor) -> str:
    digest = hashlib.sha256()
    left = tensor.nbytes
    block = memoryview(bytearray(min(_BLOCK, max(left, 1))))
    with tensor.file.open("rb", buffering=0) as file:
        file.seek(tensor.offset)
        while left:
            size = file.readinto(block[: min(left, len(block))])
            if not size:
                raise SourceError(
                    f"{tensor.file.name} became shorter while it was read",
                    owner=str(tensor.file),
                    next="run the same command again",
                )
            digest.update(block[:size])
            left -= size
    return digest.hexdigest()
