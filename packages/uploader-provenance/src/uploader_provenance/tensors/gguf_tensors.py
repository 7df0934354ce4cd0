"""Where the tensors of a GGUF file are: its header, and nothing else, in plain Python.

The format is version 2 or 3 of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every
tensor has to lie inside the file, so a header of somebody else's can claim nothing.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from uploader_core.plugin import SourceError, StoredTensor

TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
"""By number: name, values in a block, bytes of a block; as in gguf's ``GGML_QUANT_SIZES``."""

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_UINT32, _STRING, _ARRAY = 4, 8, 9
_ALIGNMENT = b"general.alignment"
_MOST_DIMENSIONS, _DEEPEST = 8, 4


def read_gguf_tensors(path: Path) -> list[StoredTensor]:
    """Return the tensors of a file, in its order.

    Args:
        path: The file; nothing but its header is read.

    Raises:
        SourceError: It is no GGUF file, is cut off, or has a type that nothing is known of.
    """
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except (OSError, ValueError, struct.error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(
            f"{path.name} cannot be used: {reason}",
            owner=str(path),
            safe="nothing was written",
            next=f"make or download {path.name} again",
        ) from error


def _read(file: BinaryIO, path: Path) -> list[StoredTensor]:
    size = file.seek(0, 2)
    file.seek(0)
    magic, version, tensors, keys = struct.unpack("<4sIQQ", file.read(24))
    if magic != b"GGUF" or version not in (2, 3):
        raise ValueError("it is no GGUF file of version 2 or 3")
    # Less than this no key and no tensor can take.
    if (tensors + keys) * 12 > size:
        raise ValueError(f"its header claims {tensors:,} tensors and {keys:,} keys")
    alignment = 32
    for _ in range(keys):
        key = file.read(_number(file, "Q", size))
        kind = _number(file, "I")
        if key == _ALIGNMENT and kind == _UINT32:
            alignment = _number(file, "I") or alignment
        else:
            _skip(file, kind, size)
    described = [_tensor(file, size) for _ in range(tensors)]
    start = file.tell() + -file.tell() % alignment
    found = []
    for name, kind, shape, offset in described:
        if kind not in TYPES:
            raise ValueError(f"tensor {name!r} has the type {kind}, of which nothing is known here")
        word, block, width = TYPES[kind]
        count = math.prod(shape)
        nbytes = count // block * width
        if count % block or start + offset + nbytes > size:
            raise ValueError(f"tensor {name!r} does not lie inside the file")
        found.append(
            StoredTensor(
                name=name, dtype=word, shape=shape, file=path, offset=start + offset, nbytes=nbytes
            )
        )
    return found


def _number(file: BinaryIO, code: str, most: int | None = None) -> int:
    (value,) = struct.unpack("<" + code, file.read(struct.calcsize(code)))
    if most is not None and value > most:
        raise ValueError(f"it claims {value:,} bytes and has {most:,}")
    return int(value)


def _skip(file: BinaryIO, kind: int, size: int, depth: int = 0) -> None:
    if kind == _STRING:
        length = _number(file, "Q", size)
        file.seek(length, 1)
    elif kind in _WIDTHS:
        file.seek(_WIDTHS[kind], 1)
    elif kind == _ARRAY and depth < _DEEPEST:
        inner, count = _number(file, "I"), _number(file, "Q", size)
        if inner in _WIDTHS:
            file.seek(count * _WIDTHS[inner], 1)
        else:
            for _ in range(count):
                _skip(file, inner, size, depth + 1)
    else:
        raise ValueError(f"a key has the type {kind}, which there is not")


def _tensor(file: BinaryIO, size: int) -> tuple[str, int, tuple[int, ...], int]:
    name = file.read(_number(file, "Q", size)).decode("utf-8")
    dimensions = _number(file, "I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r} has {dimensions:,} axes")
    shape = struct.unpack(f"<{dimensions}Q", file.read(8 * dimensions))
    kind, offset = struct.unpack("<IQ", file.read(12))
    return name, kind, tuple(reversed(shape)), offset
