"""A checkpoint in several pickles with an index, as transformers saved large ones."""

from __future__ import annotations

import json
from pathlib import Path

from uploader_lora.stored import read_stored, shards_of, weight_map_of

_INDEX = ".bin.index.json"
_STEMS = {"pytorch_model": "model", "adapter_model": "adapter_model"}
"""What a checkpoint of pickles is called, and one of safetensors."""


def index_in(folder: Path) -> Path | None:
    """Return the index of a folder's pickles; None without one, or beside a single file."""
    for stem in _STEMS:
        index = folder / f"{stem}{_INDEX}"
        if index.is_file() and not (folder / f"{stem}.bin").is_file():
            return index
    return None


def targets_of(index: Path, output: Path) -> dict[Path, Path]:
    """Return the pickles of an index, and the file that each becomes.

    Args:
        index: Of the pickles.
        output: Folder of the files.

    Raises:
        SourceError: The index names something that is no file of its folder.
    """
    stem = index.name.removesuffix(_INDEX)
    return {
        index.parent / name: output
        / f"{name.replace(stem, _STEMS[stem], 1).removesuffix('.bin')}.safetensors"
        for name in shards_of(index, weight_map_of(index, ".bin"))
    }


def new_index(index: Path, output: Path) -> Path:
    """Return the place of the index of the files."""
    return output / f"{_STEMS[index.name.removesuffix(_INDEX)]}.safetensors.index.json"


def write_index(index: Path, output: Path) -> None:
    """Write the index of the files that are there now.

    Args:
        index: Of the pickles; what it says of each tensor has to be so.
        output: Folder of the files.

    Raises:
        SourceError: Tensors are in other files than it says.
    """
    names = {before.name: after.name for before, after in targets_of(index, output).items()}
    table = {name: names[shard] for name, shard in weight_map_of(index, ".bin").items()}
    target = new_index(index, output)
    target.write_text(json.dumps({"weight_map": table}), "utf-8")
    tensors = read_stored(output, _STEMS[index.name.removesuffix(_INDEX)])
    size = sum(tensor.nbytes for tensor in tensors.values())
    said = {"metadata": {"total_size": size}, "weight_map": table}
    target.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", "utf-8")
