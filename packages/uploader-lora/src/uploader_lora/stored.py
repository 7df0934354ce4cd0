"""Find the tensors of a folder: one safetensors file, or shards with an index."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from uploader_core.plugin import CHUNK, SourceError, StoredTensor, read_header
from uploader_core.plugin import read_json as read_untrusted

MAX_INDEX, MAX_CONFIG, MAX_TOKENIZER = 32 << 20, 8 << 20, 128 << 20
"""Largest index, configuration and list of tokens in bytes that are parsed."""

FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
"""Types of weights that are not quantised, as safetensors spells them."""

_NAME = re.compile(r"[\w.\-+]+", re.ASCII)


def read_json(file: Path, most: int = MAX_CONFIG) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        file: The file.
        most: Bytes; what is larger is not read.

    Raises:
        SourceError: Missing, unreadable, too large, not JSON, or not an object.
    """
    try:
        data = read_untrusted(file, most=most)
        if not isinstance(data, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(
            f"{file.name} cannot be read: {reason}",
            owner=str(file),
            safe="nothing was written",
            next=f"download or save {file.name} again",
        ) from error
    return data


def has_weights(folder: Path, stem: str) -> bool:
    """Return whether ``<stem>.safetensors`` or its index is there."""
    return (folder / f"{stem}.safetensors").is_file() or _index(folder, stem).is_file()


def weight_files(folder: Path, stem: str) -> tuple[str, ...]:
    """Return the names of the files that hold the weights, and of the index.

    Raises:
        SourceError: The index names something that is no file of this folder.
    """
    if (folder / f"{stem}.safetensors").is_file():
        return (f"{stem}.safetensors",)
    index = _index(folder, stem)
    return (index.name, *shards_of(index, weight_map_of(index)))


def read_stored(folder: Path, stem: str) -> Mapping[str, StoredTensor]:
    """Return every tensor of a folder by its name, from headers alone.

    A single file goes before an index, as in transformers.

    Args:
        folder: Where to look.
        stem: ``model`` or ``adapter_model``.

    Returns:
        Tensors in the order of the files, and in each file in the order of their bytes.

    Raises:
        SourceError: A file is missing or malformed, or the index and the shards disagree.
    """
    single = folder / f"{stem}.safetensors"
    if single.is_file():
        return read_header(single).tensors
    index = _index(folder, stem)
    weight_map = weight_map_of(index)
    found: dict[str, StoredTensor] = {}
    for shard in shards_of(index, weight_map):
        for name, tensor in read_header(folder / shard).tensors.items():
            if weight_map.get(name) != shard:
                where = weight_map.get(name, "nowhere")
                _refuse(index, f"it says that {name!r} is in {where}, and {shard} has it")
            found[name] = tensor
    missing = weight_map.keys() - found.keys()
    if missing:
        name = min(missing)
        _refuse(index, f"it says that {name!r} is in {weight_map[name]}, which does not have it")
    return found


def same_content(left: StoredTensor, right: StoredTensor) -> bool:
    """Return whether two stored tensors are the same, byte for byte, reading both."""
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return False
    with left.file.open("rb") as ours, right.file.open("rb") as theirs:
        ours.seek(left.offset)
        theirs.seek(right.offset)
        for start in range(0, left.nbytes, CHUNK):
            count = min(CHUNK, left.nbytes - start)
            if ours.read(count) != theirs.read(count):
                return False
    return True


def _index(folder: Path, stem: str) -> Path:
    return folder / f"{stem}.safetensors.index.json"


def weight_map_of(index: Path, ending: str = ".safetensors") -> dict[str, str]:
    """Return the file of each tensor, by what an index says.

    Args:
        index: The file.
        ending: Of the files that it names.

    Raises:
        SourceError: It is no index, or names something that is no such file of a folder.
    """
    weight_map = read_json(index, MAX_INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        _refuse(index, "it has no weight_map")
    for name, shard in weight_map.items():
        # Windows would take a colon or a reserved name as something else than a file of the folder.
        if not isinstance(shard, str) or not _named(shard, ending):
            _refuse(index, f"{str(shard)[:80]!r}, the file of {name!r}, is no file name")
    return weight_map


def _named(shard: str, ending: str) -> bool:
    return (
        shard.endswith(ending)
        and len(shard) > len(ending)
        and _NAME.fullmatch(shard) is not None
        and ".." not in shard
    )


def shards_of(index: Path, weight_map: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the files of an index, by what it says.

    Raises:
        SourceError: One of them is not there.
    """
    shards = tuple(sorted(set(weight_map.values())))
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        some = missing[0] + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
        others = [p.name for p in index.parent.glob("*-of-*.safetensors") if p.name not in shards]
        beside = f"; {min(others)} is of another save" if others else ""
        _refuse(index, f"of {len(shards)} files that it names, {some} is not there{beside}")
    return shards


def _refuse(index: Path, why: str) -> NoReturn:
    raise SourceError(
        f"{index.name} cannot be used: {why}",
        owner=str(index),
        safe="nothing was written",
        next="download or save the whole folder again",
    )
