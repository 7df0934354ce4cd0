"""Weight files as transformers names, cuts and heads them. No torch.

Format of a file: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

INDEX = "model.safetensors.index.json"
_BOUNDARY = 8

Placed = tuple[str, str, Sequence[int], int, int]
"""A tensor in a file: name, type as safetensors spells it, shape, first byte, bytes."""


def file_name(number: int, count: int) -> str:
    """Return the name of a file.

    Args:
        number: Of the file, from 1.
        count: Of all files.
    """
    return "model.safetensors" if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"


def cut(sizes: Iterable[tuple[str, int]], limit: int) -> list[list[str]]:
    """Distribute tensors over files, in their order; a larger one gets a file for itself.

    Args:
        sizes: Name and bytes of each.
        limit: Most bytes of tensors in a file.
    """
    groups: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes:
        if groups[-1] and filled + size > limit:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups


def one_after_another(
    tensors: Iterable[tuple[str, str, Sequence[int], int]],
) -> Iterator[Placed]:
    """Place tensors (name, type, shape, bytes) without gaps."""
    position = 0
    for name, dtype, shape, nbytes in tensors:
        yield name, dtype, shape, position, nbytes
        position += nbytes


def header_json(tensors: Iterable[Placed], framework: str = "pt") -> bytes:
    """Return the JSON of a header.

    Args:
        tensors: What the file holds.
        framework: Whose tensors they are; transformers refuses a file that does not say it.
    """
    header: dict[str, object] = {"__metadata__": {"format": framework}}
    for name, dtype, shape, start, nbytes in tensors:
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [start, start + nbytes],
        }
    return json.dumps(header, separators=(",", ":")).encode()


def header(tensors: Iterable[Placed], framework: str = "pt") -> bytes:
    """Return the first bytes of a file: length and JSON, up to a boundary of elements.

    Args:
        tensors: What the file holds.
        framework: As in :func:`header_json`.
    """
    text = header_json(tensors, framework)
    text += b" " * (-len(text) % _BOUNDARY)
    return len(text).to_bytes(8, "little") + text


def index_json(tensors: Iterable[tuple[str, str, int]]) -> str:
    """Return the index of several files; ``total_size`` is in bytes of tensors.

    Args:
        tensors: Name, file and bytes of each.
    """
    listed = sorted(tensors)
    index = {
        "metadata": {"total_size": sum(nbytes for _, _, nbytes in listed)},
        "weight_map": {name: file for name, file, _ in listed},
    }
    return json.dumps(index, indent=2) + "\n"
