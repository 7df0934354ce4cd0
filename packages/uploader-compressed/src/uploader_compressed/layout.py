"""How a compressed model is laid out in files, to the byte. No torch.

A file begins with what can be written as it comes: matrices in 16 bits, then codes. Scales are
known when the last rows of their matrix are, so they follow, wide types first; with them goes
whatever would push its neighbours off the boundaries of their elements. So every file is written
front to back, and hashed on the way.

Files are cut where those of the 16-bit model would be, whatever the scheme: all schemes of a run
then read the same tensors in the same order, and none depends on which others are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader_compressed.schemes import Part, Scheme
from uploader_lora import DTYPE_BITS, tensor_bytes
from uploader_merged import Checkpoint
from uploader_merged.weight_files import cut, file_name, header, one_after_another

_BOUNDARY = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A tensor in a file to be written.

    Attributes:
        name: In the file.
        source: Name of the checkpoint's tensor that it comes from.
        part: Type and shape; an empty ending for what stays as it is.
    """

    name: str
    source: str
    part: Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """A weight file to be written.

    Attributes:
        name: File name.
        sources: Names of the checkpoint's tensors, in the order of the work.
        streamed: Tensors that are written as they come, by the name of their source, in order.
        tail: Tensors that follow, in the order of their bytes.
        header: First bytes of the file: length and JSON.
    """

    name: str
    sources: tuple[str, ...]
    streamed: Mapping[str, Stored] = field(repr=False)
    tail: tuple[Stored, ...] = field(repr=False)
    header: bytes = field(repr=False)

    @property
    def tensors(self) -> tuple[Stored, ...]:
        """All tensors, in the order of their bytes."""
        return (*self.streamed.values(), *self.tail)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + sum(stored.part.nbytes for stored in self.tensors)


def plan_shards(
    checkpoint: Checkpoint, scheme: Scheme, names: frozenset[str], shard_size: int
) -> tuple[Shard, ...]:
    """Distribute the tensors over files, in the order of the base's.

    Args:
        checkpoint: The model.
        scheme: How it is quantised.
        names: Tensors that are.
        shard_size: Most bytes of the 16-bit model in a file; a larger tensor gets one for itself.
    """
    sizes = (
        (name, tensor_bytes(checkpoint.dtype(name), checkpoint.shape(name)))
        for name in checkpoint.names
    )
    groups = cut(sizes, shard_size)
    return tuple(
        _shard(checkpoint, scheme, names, group, file_name(n, len(groups)))
        for n, group in enumerate(groups, 1)
    )


def _shard(
    checkpoint: Checkpoint,
    scheme: Scheme,
    names: frozenset[str],
    group: list[str],
    name: str,
) -> Shard:
    # What stays as it is first: then all codes follow each other, whatever is between them.
    sources = sorted(group, key=lambda name: name in names)
    streamed: dict[str, Stored] = {}
    tail: list[Stored] = []
    for source in sources:
        first, *others = _parts(checkpoint, scheme, source, source in names)
        if first.part.nbytes % _BOUNDARY:
            tail.append(first)
        else:
            streamed[source] = first
        tail += others
    tail.sort(key=lambda stored: -DTYPE_BITS[stored.part.dtype])
    placed = one_after_another(
        (stored.name, stored.part.dtype, stored.part.shape, stored.part.nbytes)
        for stored in (*streamed.values(), *tail)
    )
    return Shard(
        name=name,
        sources=tuple(sources),
        streamed=streamed,
        tail=tuple(tail),
        header=header(placed),
    )


def _parts(checkpoint: Checkpoint, scheme: Scheme, name: str, quantised: bool) -> list[Stored]:
    dtype, shape = checkpoint.dtype(name), checkpoint.shape(name)
    if not quantised:
        return [Stored(name=name, source=name, part=Part(ending="", dtype=dtype, shape=shape))]
    module = name.removesuffix(".weight")
    rows, columns = shape
    return [
        Stored(name=f"{module}.{part.ending}", source=name, part=part)
        for part in scheme.parts(dtype, (rows, columns))
    ]
