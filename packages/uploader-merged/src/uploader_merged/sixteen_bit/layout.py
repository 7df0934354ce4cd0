"""How a checkpoint is laid out in files: shards, headers, index. Sizes to the byte, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from uploader_lora import DTYPE_BITS, tensor_bytes
from uploader_merged.checkpoint import Checkpoint

INDEX = "model.safetensors.index.json"
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
    groups: list[list[TensorLayout]] = [[]]
    filled = 0
    for name in checkpoint.names:
        shape = checkpoint.shape(name)
        tensor = TensorLayout(
            name=name,
            dtype=dtypes[name],
            shape=shape,
            nbytes=tensor_bytes(dtypes[name], shape),
        )
        if groups[-1] and filled + tensor.nbytes > shard_size:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.nbytes
    return tuple(_shard(group, n, len(groups)) for n, group in enumerate(groups, 1))


def index_json(shards: tuple[Shard, ...]) -> str:
    """Return the index of several shards; ``total_size`` is in bytes of tensors."""
    tensors = [tensor for shard in shards for tensor in shard.tensors]
    weight_map = {tensor.name: shard.name for shard in shards for tensor in shard.tensors}
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors)},
        "weight_map": dict(sorted(weight_map.items())),
    }
    return json.dumps(index, indent=2) + "\n"


def _shard(group: list[TensorLayout], number: int, count: int) -> Shard:
    # Wide types first, so that every tensor is aligned to its element.
    tensors = tuple(sorted(group, key=lambda tensor: -DTYPE_BITS[tensor.dtype]))
    name = "model.safetensors" if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
    # transformers refuses a file that does not say which framework wrote it.
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [position, position + tensor.nbytes],
        }
        position += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return Shard(name=name, tensors=tensors, header=len(text).to_bytes(8, "little") + text)
