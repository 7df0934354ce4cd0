"""The GGUF container: lay out and write a file front to back, and read a header.

The format is version 3 of ``docs/gguf.md`` in the ggml project: magic, version, counts, keys,
tensor descriptions, then tensor data, each padded to the alignment. Pure Python and light.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from uploader_core.plugin import IntegrityError
from uploader_gguf.format.quants import TensorType

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
_STRING, _ARRAY = 8, 9
# More than any model has: a file that says more was made to fill the memory of who reads it.
_MOST_ITEMS, _MOST_DEPTH, _MOST_AXES, _MOST_ALIGNMENT = 1 << 22, 4, 4, 1 << 16


class Sink(Protocol):
    """Something that bytes are written to, front to back."""

    def write(self, data: bytes | bytearray | memoryview) -> int: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorInfo:
    """A tensor in a file.

    Attributes:
        name: GGUF name.
        shape: Slowest axis first; the file stores the axes the other way round.
        kind: How its values are stored.
    """

    name: str
    shape: tuple[int, ...]
    kind: TensorType

    @property
    def nbytes(self) -> int:
        return self.kind.nbytes(self.shape)


def padding(size: int, alignment: int = ALIGNMENT) -> int:
    """Return the zero bytes that follow ``size`` bytes."""
    return -size % alignment


def string(text: str | bytes) -> bytes:
    """Pack a string: length in bytes, then UTF-8."""
    data = text.encode("utf-8") if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def uint32(value: int) -> bytes:
    """Pack a value of type uint32, with its type."""
    return struct.pack("<II", 4, value)


def header(
    keys: Mapping[str, bytes], tensors: Sequence[TensorInfo], alignment: int = ALIGNMENT
) -> bytes:
    """Return everything that stands before the first tensor's data.

    Args:
        keys: Packed values, each with its type, by key.
        tensors: In the order in which the data follows.
        alignment: Of every tensor's data.
    """
    out = bytearray(MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(keys)))
    for key, value in keys.items():
        out += string(key) + value
    offset = 0
    for tensor in tensors:
        out += string(tensor.name) + struct.pack("<I", len(tensor.shape))
        out += struct.pack(f"<{len(tensor.shape)}Q", *reversed(tensor.shape))
        out += struct.pack("<IQ", int(tensor.kind), offset)
        offset += tensor.nbytes + padding(tensor.nbytes, alignment)
    return bytes(out) + bytes(padding(len(out), alignment))


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a file says about itself.

    Attributes:
        keys: Values by key, as plain Python; arrays are lists.
        tensors: In file order.
        offsets: Where each tensor's data begins in the file, in the same order.
    """

    keys: dict[str, Any]
    tensors: tuple[TensorInfo, ...]
    offsets: tuple[int, ...]


def read_header(path: Path) -> Header:
    """Read keys and tensor descriptions of a file.

    A file that is as it was is not read again: its vocabulary is hundreds of thousands of texts.

    Raises:
        IntegrityError: Not a GGUF file of version 3, or cut off.
    """
    stat = path.stat()
    return _read_header(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@functools.lru_cache(maxsize=4)
def _read_header(path: Path, size: int, *_stamp: int) -> Header:
    try:
        with path.open("rb") as handle:
            if handle.read(4) != MAGIC or _number(handle, "I") != VERSION:
                raise ValueError("not a GGUF file of version 3")
            n_tensors, n_keys = _number(handle, "Q"), _number(handle, "Q")
            file = _Bounded(handle, size)
            keys: dict[str, Any] = {}
            for _ in range(n_keys):
                key = file.text()
                if key in keys:
                    raise ValueError(f"the key {key[:80]!r} is in it twice")
                keys[key] = file.value(file.number("I"))
            described = [_tensor(file) for _ in range(n_tensors)]
            start = handle.tell()
    except (ValueError, KeyError, struct.error) as error:
        raise IntegrityError(f"{path.name} is not a whole GGUF file: {error}") from error
    alignment = keys.get("general.alignment", ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= _MOST_ALIGNMENT:
        raise IntegrityError(f"{path.name} has the impossible alignment {str(alignment)[:40]!r}")
    start += padding(start, alignment)
    return Header(
        keys=keys,
        tensors=tuple(info for info, _ in described),
        offsets=tuple(start + offset for _, offset in described),
    )


def packed_keys(path: Path) -> dict[str, bytes]:
    """Return the keys of a file as they stand there, each value with its type.

    Args:
        path: A file that :func:`read_header` reads.
    """
    with path.open("rb") as handle:
        handle.seek(len(MAGIC) + struct.calcsize("<IQ"))
        found = {}
        file = _Bounded(handle, path.stat().st_size)
        for _ in range(file.number("Q")):
            key, start = file.text(), handle.tell()
            file.value(file.number("I"))
            size = handle.tell() - start
            handle.seek(start)
            found[key] = handle.read(size)
    return found


def _number(handle: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, handle.read(struct.calcsize("<" + code)))[0]


class _Bounded:
    """A file that says how much follows: what is more than there is, is never asked for."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        self._handle = handle
        self._size = size

    def take(self, count: int) -> bytes:
        left = self._size - self._handle.tell()
        if count > left:
            raise ValueError(f"it says that {count:,} bytes follow, and {left:,} do")
        return self._handle.read(count)

    def number(self, code: str) -> Any:
        return _number(self._handle, code)

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", errors="surrogateescape")

    def texts(self, count: int) -> list[str]:
        """Read what :meth:`text` reads, many times over."""
        read, size_of, found = self._handle.read, int.from_bytes, []
        left = self._size - self._handle.tell()
        for _ in range(count):
            size = size_of(read(8), "little")
            left -= 8 + size
            if left < 0:
                raise ValueError("cut off")
            found.append(read(size).decode("utf-8", "surrogateescape"))
        return found

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            item, count = self.number("I"), self.number("Q")
            if count > _MOST_ITEMS or depth > _MOST_DEPTH:
                raise ValueError(f"an array of {count:,} items, {depth} deep")
            if item in _SCALARS:
                code = _SCALARS[item]
                data = self.take(count * struct.calcsize("<" + code))
                return list(struct.unpack(f"<{count}{code}", data))
            if item == _STRING:
                return self.texts(count)
            return [self.value(item, depth + 1) for _ in range(count)]
        if kind not in _SCALARS:
            raise ValueError(f"there is no type {kind} of values")
        return self.number(_SCALARS[kind])


def _tensor(file: _Bounded) -> tuple[TensorInfo, int]:
    name, dims = file.text(), file.number("I")
    if dims > _MOST_AXES:
        raise ValueError(f"the tensor {name[:80]!r} has {dims:,} axes")
    shape = tuple(reversed(struct.unpack(f"<{dims}Q", file.take(8 * dims))))
    kind, offset = TensorType(file.number("I")), file.number("Q")
    return TensorInfo(name=name, shape=shape, kind=kind), offset


METADATA = "uploader-metadata.json"


def file_name(model: str, quant: str) -> str:
    """Return ``<Model>-<QUANT>.gguf``, the form that the Hub and Ollama find a quant by."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', model).strip('-.') or 'model'}-{quant}.gguf"
