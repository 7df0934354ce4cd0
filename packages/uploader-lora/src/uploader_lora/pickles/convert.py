"""One pickle becomes one file of safetensors, bit for bit.

Run as ``python -m uploader_lora.pickles.convert PICKLE TARGET``, in a process that has nothing to
lose: no credentials, limits of memory, and no network where Linux lets it leave it.
"""

from __future__ import annotations

import itertools
import json
import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from uploader_core.plugin import CHUNK, DTYPE_BITS
from uploader_lora.confined import leave_the_network, take_limit
from uploader_lora.pickles.files import Saved, read_saved
from uploader_lora.pickles.tables import Described

MEBIBYTES = 1024
# The order of safetensors: the widest first, and by name.
_ORDER = ("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "I16", "U16", "F16", "BF16", "I32", "U32",
          "F32", "F64", "I64", "U64")  # fmt: skip


def main(arguments: list[str]) -> int:
    """Convert; the last line of standard output is a report in JSON."""
    _lock()
    source, target = map(Path, arguments)
    try:
        saved = read_saved(source)
        said = {"tensors": write(saved, source, target), "left_out": dict(saved.left_out)}
    except MemoryError:
        said = {"error": f"it wants more than {MEBIBYTES} MB"}
    except Exception as error:  # a damaged pickle raises whatever its instructions come to
        said = {"error": " ".join(str(error).split())[:300] or type(error).__name__}
    sys.stdout.write(json.dumps(said) + "\n")
    return 0


def write(saved: Saved, source: Path, target: Path) -> int:
    """Write the tensors of a file, each with its own bytes.

    Returns:
        How many there are.

    Raises:
        ValueError: There are none, or more bytes than such a file has.
    """
    names = sorted(saved.tensors)
    names.sort(key=lambda name: -_ORDER.index(saved.tensors[name].dtype))
    sizes = {name: _size(saved.tensors[name]) for name in names}
    if not names:
        raise ValueError("there is no tensor in it")
    if sum(sizes.values()) > 64 * source.stat().st_size:
        raise ValueError("its tensors repeat their values to many times the size of the file")
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    ends = [*itertools.accumulate(sizes.values())]
    for name, end in zip(names, ends, strict=True):
        tensor = saved.tensors[name]
        offsets = [end - sizes[name], end]
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with source.open("rb") as values, target.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            tensor = saved.tensors[name]
            for part in _parts(values, saved.places[tensor.storage.key], tensor):
                file.write(part)
    return len(names)


def _size(tensor: Described) -> int:
    return math.prod(tensor.shape) * DTYPE_BITS[tensor.dtype] // 8


def _parts(values: IO[bytes], start: int, tensor: Described) -> Iterator[bytes]:
    """Yield the bytes of a tensor, those that lie together at once."""
    width = DTYPE_BITS[tensor.dtype] // 8
    together, axis = 1, len(tensor.shape)
    while axis and (tensor.shape[axis - 1] == 1 or tensor.strides[axis - 1] == together):
        axis -= 1
        together *= tensor.shape[axis]
    for place in itertools.product(*(range(n) for n in tensor.shape[:axis])):
        before = sum(i * s for i, s in zip(place, tensor.strides, strict=False))
        values.seek(start + (tensor.offset + before) * width)
        left = together * width
        while left:
            part = values.read(min(CHUNK, left))
            if not part:
                raise ValueError("it is cut off")
            left -= len(part)
            yield part


def _lock() -> None:
    leave_the_network()
    take_limit("CORE", 0)
    take_limit("AS", MEBIBYTES << 20)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
