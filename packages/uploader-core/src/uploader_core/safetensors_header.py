"""Read and check the header of a safetensors file: plain Python, nothing but the header is read.

Stricter than the safetensors library, which takes a file with a repeated tensor name and lets one
of the two win. What passes here is described to the byte: every tensor lies inside the file, no two
overlap, nothing is left over. Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from uploader_core.errors import SourceError
from uploader_core.untrusted_json import parse_json

MAX_HEADER = 32 << 20
"""Largest header in bytes that is parsed; a shard of a real model needs a few hundred kilobytes."""

MAX_TENSORS = 200_000
"""Largest number of tensors in one file."""

_MORE_BRACES = 10_000
"""That the free text of ``__metadata__`` may have; some programs keep JSON in it."""

MAX_DIMENSIONS = 8

DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}
"""Bits of one element, by the type names of the format."""

_NAME = re.compile(r"[\w.\-/:+@ ]{1,512}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor:
    """A tensor where it is on disk.

    Attributes:
        name: Name in the file.
        dtype: Type as safetensors spells it (``BF16``).
        shape: Sizes of the axes, slowest first; ``()`` for a scalar.
        file: The file.
        offset: Bytes from the start of the file to the first element.
        nbytes: Bytes of all elements.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    offset: int
    nbytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SafetensorsHeader:
    """What a file says about itself.

    Attributes:
        file: The file.
        tensors: By name, in the order in which they are in the file.
        metadata: The free text of ``__metadata__``.
        size: Bytes of the whole file.
    """

    file: Path
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]
    size: int


def tensor_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Return the bytes of a tensor; KeyError for an unknown type."""
    return (math.prod(shape) * DTYPE_BITS[dtype] + 7) // 8


def read_header(file: Path) -> SafetensorsHeader:
    """Read the header of a safetensors file and check that the file is what it says.

    Args:
        file: The file; only its header is read.

    Raises:
        SourceError: Missing, unreadable, truncated, or in any way not a well-formed file.
    """
    text, start, size = _header_text(file)
    header = _parse(file, text)
    metadata = header.pop("__metadata__", {})
    if metadata is None:  # mlx writes it where nobody gave it any
        metadata = {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        _refuse(file, "its __metadata__ is not a table of text")
    if len(header) > MAX_TENSORS:
        _refuse(file, f"it lists {len(header):,} tensors, more than {MAX_TENSORS:,}")
    found = [_tensor(file, name, entry, start) for name, entry in header.items()]
    found.sort(key=lambda tensor: (tensor.offset, tensor.nbytes))
    position = start
    for tensor in found:
        if tensor.offset != position:
            what = "overlaps another tensor" if tensor.offset < position else "leaves a gap"
            _refuse(file, f"tensor {tensor.name!r} {what} at byte {tensor.offset:,}")
        position += tensor.nbytes
    if position != size:
        what = "is truncated" if size < position else "has bytes that belong to no tensor"
        _refuse(file, f"it {what}: {size:,} bytes, and its header describes {position:,}")
    return SafetensorsHeader(
        file=file, tensors={t.name: t for t in found}, metadata=metadata, size=size
    )


_LFS = b"version https://git-lfs.github.com/spec/"
"""How the text begins that ``git clone`` leaves where Git LFS is not installed."""


def _header_text(file: Path) -> tuple[bytes, int, int]:
    """Return the header's JSON, where the data starts, and the size of the file."""
    try:
        with file.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(0)
            start = handle.read(len(_LFS))
            if start == _LFS:
                raise SourceError(
                    f"{file.name} is a pointer of Git LFS ({size:,} bytes), not the file itself",
                    owner=str(file),
                    safe="nothing was written",
                    next=f"git -C {file.parent} lfs pull, or hf download",
                )
            handle.seek(8)
            length = int.from_bytes(start[:8], "little")
            if size < 10 or length < 2 or 8 + length > size:
                _refuse(file, f"it is truncated or no safetensors file ({size:,} bytes)")
            if length > MAX_HEADER:
                _refuse(file, f"its header claims {length:,} bytes, more than {MAX_HEADER:,}")
            return handle.read(length), 8 + length, size
    except OSError as error:
        raise SourceError(
            f"{file} cannot be read: {error.strerror or error}",
            owner=str(file),
            safe="nothing was written",
            next="check the path and the permissions",
        ) from error


def _parse(file: Path, text: bytes) -> dict[str, Any]:
    # Each is an object; what builds them all first has no memory left to say so.
    if text.count(b"{") > MAX_TENSORS + _MORE_BRACES:
        _refuse(file, f"it lists more than {MAX_TENSORS:,} tensors")
    try:
        header = parse_json(text.decode("utf-8"), strict=True)
    except ValueError as error:
        _refuse(file, f"its header is not valid: {error}")
    if not isinstance(header, dict):
        _refuse(file, "its header is not a table")
    return header


def _tensor(file: Path, name: str, entry: Any, start: int) -> StoredTensor:
    if not _NAME.fullmatch(name) or ".." in name:
        _refuse(file, f"{name[:80]!r} is no usable tensor name")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        _refuse(file, f"the entry of tensor {name!r} is not dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        _refuse(file, f"tensor {name!r} has the unknown type {str(dtype)[:40]!r}")
    if not _sizes(shape) or len(shape) > MAX_DIMENSIONS:
        _refuse(file, f"tensor {name!r} has the impossible shape {str(shape)[:80]}")
    if not _sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        _refuse(file, f"tensor {name!r} has the impossible place {str(offsets)[:80]}")
    nbytes = tensor_bytes(dtype, tuple(shape))
    if offsets[1] - offsets[0] != nbytes:
        _refuse(
            file,
            f"tensor {name!r} has room for {offsets[1] - offsets[0]:,} bytes, and its shape "
            f"{shape} needs {nbytes:,}",
        )
    return StoredTensor(
        name=name,
        dtype=dtype,
        shape=tuple(shape),
        file=file,
        offset=start + offsets[0],
        nbytes=nbytes,
    )


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item < 1 << 48 for item in value
    )


def _refuse(file: Path, why: str) -> NoReturn:
    raise SourceError(
        f"{file.name} cannot be used: {why}",
        owner=str(file),
        safe="nothing was written",
        next=f"download or save {file.name} again",
    )
