"""Lay out the files before the first byte: the type of every tensor, and where files are cut."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from uploader_gguf.format import gguf_file
from uploader_gguf.format.gguf_file import TensorInfo
from uploader_gguf.format.mixture import Overrides, select_types
from uploader_gguf.format.quants import Quant, TensorType
from uploader_gguf.format.shapes import TensorShape
from uploader_gguf.importance import imatrix
from uploader_gguf.importance.imatrix import Importance
from uploader_gguf.llama_cpp.converter import Conversion
from uploader_gguf.writing.release_files import HUB_LIMIT, keys_for


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One file on disk.

    Attributes:
        name: File name.
        header: Everything before the data.
        data: Bytes after it.
    """

    name: str
    header: bytes
    data: int

    @property
    def nbytes(self) -> int:
        return len(self.header) + self.data


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """All tensors stored as one kind: one file on disk, or several when it is cut.

    Attributes:
        quant: Its kind.
        tensors: Of all shards, in order.
        shards: One or more.
        importance: Used for the kinds that ``llama-quantize`` makes.
    """

    quant: Quant
    tensors: tuple[TensorInfo, ...]
    shards: tuple[Shard, ...]
    importance: Importance | None


def lay_out(
    quant: Quant,
    name: str,
    conversion: Conversion,
    importance: Importance | None = None,
    overrides: Overrides | None = None,
    largest: int = HUB_LIMIT,
) -> File:
    """Decide the type of every tensor of a file, and with that its layout.

    Args:
        quant: The kind.
        name: ``<Model>-<QUANT>.gguf``.
        conversion: What the converter planned.
        importance: An importance matrix.
        overrides: The user's wishes for single tensors.
        largest: Bytes of tensor data after which a file is cut.

    Raises:
        RefusedError: A type does not fit, or needs an importance matrix that is not there.
    """
    # What the converter stores in one way only (already quantised experts) stays like that.
    kinds = {t.name: t.stored[quant.name if quant.direct else "F16"] for t in conversion.tensors}
    keys = keys_for(quant, conversion.keys)
    if quant.direct:
        importance = None
    else:
        kinds |= _mixture(quant, conversion, importance, overrides)
        if importance is not None:
            keys |= importance.keys()
    tensors = tuple(
        TensorInfo(name=t.name, shape=t.shape, kind=kinds[t.name]) for t in conversion.tensors
    )
    shards = _cut(name, keys, tensors, conversion.alignment, largest)
    return File(quant=quant, tensors=tensors, shards=shards, importance=importance)


def _mixture(
    quant: Quant,
    conversion: Conversion,
    importance: Importance | None,
    overrides: Overrides | None,
) -> dict[str, TensorType]:
    shapes = {
        t.name: TensorShape(name=t.name, shape=t.shape, stored=t.stored["F16"])
        for t in conversion.tensors
    }
    given = importance is not None
    chosen = select_types(quant, shapes, conversion.model, imatrix=given, overrides=overrides)
    kinds = {t.name: chosen[t.name] for t in conversion.tensors if t.values is not None}
    imatrix.require(importance, quant, kinds)
    if importance is not None:
        for tensor in conversion.tensors:
            importance.of(tensor.name, tensor.shape)  # refuses a matrix of another model
    return kinds


def _cut(
    name: str,
    keys: dict[str, bytes],
    tensors: tuple[TensorInfo, ...],
    alignment: int,
    largest: int,
) -> tuple[Shard, ...]:
    """Cut between tensors as ``GGUFWriter`` does; all keys are in the first file."""
    groups: list[list[TensorInfo]] = [[]]
    filled = 0
    for tensor in tensors:
        if groups[-1] and filled + tensor.nbytes > largest:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.nbytes
    if len(groups) == 1:
        return (_shard(name, keys, tensors, alignment),)
    shards = []
    for number, group in enumerate(groups):
        own = dict(keys) if number == 0 else {}
        own["split.no"] = struct.pack("<IH", 2, number)
        own["split.count"] = struct.pack("<IH", 2, len(groups))
        own["split.tensors.count"] = struct.pack("<Ii", 5, len(tensors))
        end = f"-{number + 1:05d}-of-{len(groups):05d}.gguf"
        shard_name = name.removesuffix(".gguf") + end
        shards.append(_shard(shard_name, own, group, alignment))
    return tuple(shards)


def _shard(
    name: str, keys: dict[str, bytes], tensors: Sequence[TensorInfo], alignment: int
) -> Shard:
    header = gguf_file.header(keys, tensors, alignment)
    data = sum(t.nbytes + gguf_file.padding(t.nbytes, alignment) for t in tensors)
    return Shard(name=name, header=header, data=data)
