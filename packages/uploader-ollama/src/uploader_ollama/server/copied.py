"""A GGUF as ``ollama create`` stores it: llama-quantize's COPY, byte for byte.

Ollama validates a model by having llama.cpp load it and write it anew (``server/create.go``,
``copyLayerWithLlamaQuantize``). The copy has the same keys and values, but the quantisation version
and the kind of file stand last, and tensors stand in the order in which llama.cpp keeps them: those
outside of layers first, then layer by layer, each by name (``llama_model_quantize_impl`` and
``weight_name_comparer``). Knowing that, the digest of what Ollama stores can be told beforehand.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import CHUNK
from uploader_gguf.format.gguf_file import ALIGNMENT, padding, read_header, string, uint32

_LAST = ("general.quantization_version", "general.file_type")
_VERSION = uint32(2)  # GGML_QNT_VERSION
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_LAYER = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tensor:
    name: str
    described: bytes
    start: int
    size: int

    @property
    def order(self) -> tuple[int, bytes]:
        layer = _LAYER.match(self.name)
        return int(layer[1]) if layer else -1, self.name.encode()


def copied_digest(path: Path, tell: Callable[[int], None] = lambda _: None) -> str:
    """Return the sha256 of a file's copy, hex.

    Args:
        path: The file.
        tell: Told how many bytes are hashed.

    Raises:
        IntegrityError: Not a whole GGUF file.
    """
    digest, done = hashlib.sha256(), 0
    for block in copy_blocks(path):
        digest.update(block)
        done += len(block)
        tell(done)
    return digest.hexdigest()


def copy_blocks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file's copy.

    Raises:
        IntegrityError: Not a whole GGUF file.
    """
    header = read_header(path)
    alignment = int(header.keys.get("general.alignment", ALIGNMENT))
    with path.open("rb") as file:
        head = file.read(min(header.offsets, default=path.stat().st_size))
        reader = _Reader(head)
        values = reader.values(len(header.keys))
        described = reader.tensors(len(header.tensors))
        tensors = sorted(
            (
                _Tensor(name=info.name, described=raw, start=start, size=info.nbytes)
                for info, raw, start in zip(header.tensors, described, header.offsets, strict=True)
            ),
            key=lambda tensor: tensor.order,
        )
        yield _head(head[:16], values, tensors, alignment)
        for tensor in tensors:
            file.seek(tensor.start)
            left = tensor.size
            while left and (block := file.read(min(CHUNK, left))):
                left -= len(block)
                yield block
            yield bytes(padding(tensor.size, alignment))


def _head(begin: bytes, values: dict[str, bytes], tensors: list[_Tensor], alignment: int) -> bytes:
    """Return magic, version and number of tensors with everything before the first tensor."""
    last = {_LAST[0]: _VERSION, _LAST[1]: values.get(_LAST[1], uint32(0))}
    kept = {key: value for key, value in values.items() if key not in _LAST} | last
    out = bytearray(begin + struct.pack("<Q", len(kept)))
    for key, value in kept.items():
        out += string(key) + value
    offset = 0
    for tensor in tensors:
        out += tensor.described + struct.pack("<Q", offset)
        offset += tensor.size + padding(tensor.size, alignment)
    return bytes(out) + bytes(padding(len(out), alignment))


class _Reader:
    """Keys and tensors of a header as they are packed."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._at = 24  # magic, version, number of tensors, number of keys

    def values(self, count: int) -> dict[str, bytes]:
        """Return the packed values by key, each with its type."""
        found = {}
        for _ in range(count):
            start = self._at + 8
            self._at = self._after_text(self._at)
            key = self._head[start : self._at].decode("utf-8", errors="surrogateescape")
            start = self._at
            self._at = self._after(start + 4, self._number("I", start))
            found[key] = self._head[start : self._at]
        return found

    def tensors(self, count: int) -> list[bytes]:
        """Return what is said of each tensor, without its offset."""
        found = []
        for _ in range(count):
            start = self._at
            at = self._after_text(start)
            at += 4 + 8 * self._number("I", at) + 4
            found.append(self._head[start:at])
            self._at = at + 8
        return found

    def _number(self, code: str, at: int) -> int:
        return int(struct.unpack_from("<" + code, self._head, at)[0])

    def _after_text(self, at: int) -> int:
        return at + 8 + self._number("Q", at)

    def _after(self, at: int, kind: int) -> int:
        if kind == _STRING:
            return self._after_text(at)
        if kind != _ARRAY:
            return at + _SIZES[kind]
        item, count = self._number("I", at), self._number("Q", at + 4)
        at += 12
        if item in _SIZES:
            return at + _SIZES[item] * count
        for _ in range(count):
            at = self._after(at, item)
        return at
