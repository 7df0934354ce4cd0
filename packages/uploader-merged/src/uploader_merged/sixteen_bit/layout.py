"""How a checkpoint is laid out in files, to the byte. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from uploader_lora import DTYPE_BITS, tensor_bytes
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.weight_files import cut, file_name, header, one_after_another

_CONVERTIBLE = ("F64", "F32", "F16", "BF16")
_SETTING_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorLayout:
    """A tensor in a file to be written.

    Attributes:
        name: Its name.
        dtype: Type in the file, as safetensors spells it.
        shape: Shape.
        nbytes: Bytes in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """A weight file to be written.

    Attributes:
        name: File name.
        tensors: In the order of their bytes.
        header: First bytes of the file: length and JSON.
    """

    name: str
    tensors: tuple[TensorLayout, ...]
    header: bytes

    @property
    def nbytes(self) -> int:
        """Bytes of the whole file."""
        return len(self.header) + sum(tensor.nbytes for tensor in self.tensors)


def target_dtypes(checkpoint: Checkpoint, dtype: str) -> dict[str, str]:
    """Return each tensor's type in the file.

    ``auto`` keeps every type. Otherwise the type that holds most of the model is replaced; tensors
    that the model keeps in another one on purpose (a router's bias in float32) stay.

    Args:
        checkpoint: The model.
        dtype: ``auto``, ``bfloat16``, ``float16`` or ``float32``.
    """
    kept = {name: checkpoint.dtype(name) for name in checkpoint.names}
    if dtype == "auto":
        return kept
    main = main_dtype(checkpoint)
    return {name: _SETTING_DTYPES[dtype] if d == main else d for name, d in kept.items()}


def main_dtype(checkpoint: Checkpoint) -> str:
    """Return the floating type that holds most bytes of a checkpoint."""
    total = dict.fromkeys(_CONVERTIBLE, 0)
    for name in checkpoint.names:
        if checkpoint.dtype(name) in total:
            total[checkpoint.dtype(name)] += checkpoint.recipe(name).nbytes
    return max(total, key=lambda d: total[d])


def plan_shards(
    checkpoint: Checkpoint, dtypes: Mapping[str, str], shard_size: int
) -> tuple[Shard, ...]:
    """Distribute the tensors over files, in the order of the base's.

    Args:
        checkpoint: The model.
        dtypes: Each tensor's type in the file.
        shard_size: Largest number of tensor bytes in a file; a larger tensor gets one for itself.
    """
    layouts = {
        name: TensorLayout(
            name=name,
            dtype=dtypes[name],
            shape=checkpoint.shape(name),
            nbytes=tensor_bytes(dtypes[name], checkpoint.shape(name)),
        )
        for name in checkpoint.names
    }
    groups = cut(((name, layout.nbytes) for name, layout in layouts.items()), shard_size)
    return tuple(
        _shard([layouts[name] for name in group], file_name(n, len(groups)))
        for n, group in enumerate(groups, 1)
    )


def _shard(group: list[TensorLayout], name: str) -> Shard:
    # Wide types first, so that every tensor is aligned to its element.
    tensors = tuple(sorted(group, key=lambda tensor: -DTYPE_BITS[tensor.dtype]))
    placed = one_after_another((t.name, t.dtype, t.shape, t.nbytes) for t in tensors)
    return Shard(name=name, tensors=tensors, header=header(placed))
