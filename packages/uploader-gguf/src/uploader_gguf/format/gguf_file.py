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
def _read_header(path: Path, *_stamp: int) -> Header:
    try:
        with path.open("rb") as handle:
            if handle.read(4) != MAGIC or _number(handle, "I") != VERSION:
                raise ValueError("not a GGUF file of version 3")
            n_tensors, n_keys = _number(handle, "Q"), _number(handle, "Q")
            keys = {}
            for _ in range(n_keys):
                key = _text(handle)
                keys[key] = _value(handle, _number(handle, "I"))
            described = [_tensor(handle) for _ in range(n_tensors)]
            start = handle.tell()
    except (ValueError, KeyError, struct.error) as error:
        raise IntegrityError(f"{path.name} is not a whole GGUF file: {error}") from error
    start += padding(start, int(keys.get("general.alignment", ALIGNMENT)))
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
        for _ in range(_number(handle, "Q")):
            key, start = _text(handle), handle.tell()
            _value(handle, _number(handle, "I"))
            size = handle.tell() - start
            handle.seek(start)
            found[key] = handle.read(size)
    return found


def _number(handle: BinaryIO, code: str) -> Any:
    return struct.unpack("<" + code, handle.read(struct.calcsize("<" + code)))[0]


def _text(handle: BinaryIO) -> str:
    return handle.read(_number(handle, "Q")).decode("utf-8", errors="surrogateescape")


def _texts(handle: BinaryIO, count: int) -> list[str]:
    """Read what :func:`_text` reads, many times over."""
    read, size_of, found = handle.read, int.from_bytes, []
    for _ in range(count):
        size = read(8)
        if len(size) < 8:
            raise ValueError("cut off")
        found.append(read(size_of(size, "little")).decode("utf-8", "surrogateescape"))
    return found


def _value(handle: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(handle)
    if kind == _ARRAY:
        item, count = _number(handle, "I"), _number(handle, "Q")
        if item in _SCALARS:
            code = f"<{count}{_SCALARS[item]}"
            return list(struct.unpack(code, handle.read(struct.calcsize(code))))
        if item == _STRING:
            return _texts(handle, count)
        return [_value(handle, item) for _ in range(count)]
    return _number(handle, _SCALARS[kind])


def _tensor(handle: BinaryIO) -> tuple[TensorInfo, int]:
    name, dims = _text(handle), _number(handle, "I")
    shape = tuple(reversed(struct.unpack(f"<{dims}Q", handle.read(8 * dims))))
    kind, offset = TensorType(_number(handle, "I")), _number(handle, "Q")
    return TensorInfo(name=name, shape=shape, kind=kind), offset


METADATA = "uploader-metadata.json"


def file_name(model: str, quant: str) -> str:
    """Return ``<Model>-<QUANT>.gguf``, the form that the Hub and Ollama find a quant by."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', model).strip('-.') or 'model'}-{quant}.gguf"
