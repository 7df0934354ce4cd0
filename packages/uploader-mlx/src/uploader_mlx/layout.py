"""How an MLX model is laid out in files, to the byte. No mlx.

Tensors follow each other in mlx-lm's order, codes before their scales and biases, so that a file is
written front to back and no more than the scales of one matrix wait in memory. What would push its
neighbours off the boundaries of their elements goes to the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from uploader_lora import DTYPE_BITS
from uploader_merged.weight_files import cut, file_name, header, one_after_another
from uploader_mlx.architecture.described import Output
from uploader_mlx.kinds import Part, Quantisation

_BOUNDARY = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What one tensor of the 16-bit model becomes.

    Attributes:
        output: The tensor.
        how: How it is quantised; None for 16 bits.
        parts: What is in the file: itself, or codes, scales and biases.
    """

    output: Output
    how: Quantisation | None
    parts: tuple[Part, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.nbytes for part in self.parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """A weight file to be written.

    Attributes:
        name: File name.
        stored: What it holds, in the order of the work.
        tail: Names of parts that are at its end, in order.
        header: First bytes of the file: length and JSON.
    """

    name: str
    stored: tuple[Stored, ...] = field(repr=False)
    tail: tuple[str, ...]
    header: bytes = field(repr=False)

    @property
    def parts(self) -> dict[str, Part]:
        """All tensors by name."""
        return {part.name: part for stored in self.stored for part in stored.parts}

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + sum(stored.nbytes for stored in self.stored)


def plan_shards(
    outputs: Sequence[Output], modules: Mapping[str, Quantisation], shard_size: int
) -> tuple[Shard, ...]:
    """Distribute the tensors over files, in mlx-lm's order.

    Args:
        outputs: Tensors of the 16-bit model.
        modules: How modules are quantised, by path.
        shard_size: Most bytes of tensors in a file; a larger one gets a file for itself.
    """
    stored = {output.name: _stored(output, modules) for output in outputs}
    groups = cut(((name, one.nbytes) for name, one in stored.items()), shard_size)
    return tuple(
        _shard(tuple(stored[name] for name in group), file_name(number, len(groups)))
        for number, group in enumerate(groups, 1)
    )


def _stored(output: Output, modules: Mapping[str, Quantisation]) -> Stored:
    module = output.name.removesuffix(".weight")
    how = modules.get(module) if module != output.name else None
    if how is None:
        own = Part(name=output.name, dtype=output.dtype, shape=output.shape)
        return Stored(output=output, how=None, parts=(own,))
    return Stored(output=output, how=how, parts=how.parts(module, output.dtype, output.shape))


def _shard(stored: tuple[Stored, ...], name: str) -> Shard:
    parts = [part for one in stored for part in one.parts]
    even = [part for part in parts if part.nbytes % _BOUNDARY == 0]
    odd = [part for part in parts if part.nbytes % _BOUNDARY]
    odd.sort(key=lambda part: -DTYPE_BITS[part.dtype])
    placed = one_after_another((p.name, p.dtype, p.shape, p.nbytes) for p in (*even, *odd))
    return Shard(
        name=name, stored=stored, tail=tuple(p.name for p in odd), header=header(placed, "mlx")
    )
