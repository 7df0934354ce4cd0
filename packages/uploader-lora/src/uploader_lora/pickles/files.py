"""The two forms in which ``torch.save`` writes: an archive, and before torch 1.6 a file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from uploader_core.plugin import DTYPE_BITS
from uploader_lora.pickles.tables import Described, ForbiddenError, Storage, TableReader

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_LARGEST_PICKLE = 64 << 20
_MOST_TENSORS = 200_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """A file of torch.

    Attributes:
        tensors: By name.
        left_out: Names of what is no tensor, with what it is.
        places: Byte at which each storage begins in the file, by its key.
    """

    tensors: Mapping[str, Described]
    left_out: Mapping[str, str]
    places: Mapping[str, int]


def read_saved(path: Path) -> Saved:
    """Read what a file describes, and where the values are.

    Raises:
        ValueError: It is no such file, damaged, or names what is never run.
        MemoryError: It wants more than there is.
    """
    with path.open("rb") as file:
        archive = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        return _archive(path, file) if archive else _plain(file, path.stat().st_size)


def _archive(path: Path, file: IO[bytes]) -> Saved:
    with zipfile.ZipFile(path) as zipped:
        entries = {entry.filename: entry for entry in zipped.infolist()}
        pickles = [name for name in entries if name.endswith("/data.pkl")]
        if len(entries) != len(zipped.infolist()) or len(pickles) != 1:
            raise ValueError("it is an archive that torch did not write")
        root = pickles[0].removesuffix("data.pkl")
        order = entries.get(f"{root}byteorder")
        if order is not None and zipped.read(order) != b"little":
            raise ValueError("its numbers begin with the highest byte")
        if entries[pickles[0]].file_size > _LARGEST_PICKLE:
            raise ValueError("its table is larger than any")
        found: dict[str, Storage] = {}
        table = _load(io.BytesIO(zipped.read(pickles[0])), found)
        places = {}
        for key, storage in found.items():
            entry = entries.get(f"{root}data/{key}")
            if entry is None or entry.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"the values of {key!r} are not in it as they are")
            if entry.file_size < _bytes(storage):
                raise ValueError(f"the values of {key!r} are cut off")
            file.seek(entry.header_offset + 26)
            names = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
            places[key] = entry.header_offset + 30 + names
            with zipped.open(entry) as values:  # whose checksum is compared at its end
                while values.read(1 << 22):
                    pass
    return _sorted(table, places)


def _plain(file: IO[bytes], size: int) -> Saved:
    magic, protocol, system = (TableReader(file).load() for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL or not isinstance(system, dict):
        raise ValueError("it is no file of torch.save")
    if system.get("little_endian") is not True:
        raise ValueError("its numbers begin with the highest byte")
    found: dict[str, Storage] = {}
    table = _load(file, found)
    keys, places = TableReader(file).load(), {}
    if not isinstance(keys, list) or {*keys} != {*found} or len(keys) != len(found):
        raise ValueError("its list of storages is another than that of its tensors")
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        if count != found[key].count:
            raise ValueError(f"the values of {key!r} are of another number")
        places[key] = file.tell()
        file.seek(_bytes(found[key]), io.SEEK_CUR)
    if file.tell() > size:
        raise ValueError("it is cut off")
    return _sorted(table, places)


def _load(file: IO[bytes], found: dict[str, Storage]) -> Any:
    def note(storage: Storage) -> None:
        if found.setdefault(storage.key, storage) != storage:
            raise ForbiddenError("a storage with two types")

    return TableReader(file, note).load()


def _bytes(storage: Storage) -> int:
    return storage.count * DTYPE_BITS[storage.dtype] // 8


def _sorted(table: Any, places: Mapping[str, int]) -> Saved:
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table):
        raise ValueError("it holds no table of tensors")
    if len(table) > _MOST_TENSORS:
        raise ValueError(f"it holds {len(table):,} tensors")
    tensors = {name: part for name, part in table.items() if isinstance(part, Described)}
    for name, tensor in tensors.items():
        _check(name, tensor)
    left = {n: type(part).__name__ for n, part in table.items() if not isinstance(part, Described)}
    return Saved(tensors=tensors, left_out=left, places=places)


def _check(name: str, tensor: Described) -> None:
    wide, narrow = DTYPE_BITS[tensor.storage.dtype], DTYPE_BITS[tensor.dtype]
    last = tensor.offset
    if len(tensor.shape) != len(tensor.strides) or len(tensor.shape) > 8:
        raise ValueError(f"{name[:80]!r} has axes without strides")
    if 0 not in tensor.shape:
        last += sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)) + 1
    if last * narrow > tensor.storage.count * wide:
        raise ValueError(f"{name[:80]!r} is beyond the end of its values")
