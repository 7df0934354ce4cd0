"""An adapter of mlx-lm as a folder: which tensors, and ``adapter_config.json``. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader_lora import DTYPE_BITS
from uploader_merged.weight_files import header, one_after_another
from uploader_mlx.adapter import CONFIG, WEIGHTS
from uploader_mlx.adapter.changes import Change, Changes
from uploader_mlx.kinds import Part

_LAYER = re.compile(r"(.+?)\.(\d+)\.(.+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterFolder:
    """Everything that will be written.

    Attributes:
        changes: What the adapter does.
        parts: Tensors of the file with their change, in the order of their bytes.
        header: First bytes of the file.
        config: Text of ``adapter_config.json``.
    """

    changes: Changes
    parts: tuple[tuple[Change, Part], ...] = field(repr=False)
    header: bytes = field(repr=False)
    config: str = field(repr=False)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes by file name, exact."""
        tensors = sum(part.nbytes for _, part in self.parts)
        return {WEIGHTS: len(self.header) + tensors, CONFIG: len(self.config.encode())}


def plan_adapter(changes: Changes, layers: int, base_model: str | None) -> AdapterFolder:
    """Lay out the folder.

    Args:
        changes: That mlx-lm has a place for.
        layers: How many the model has.
        base_model: What people type to load the base; None where that is not known.
    """
    parts = [(change, part) for change in changes.changes for part in _parts(changes, change)]
    # Wide types first, so that every tensor is aligned to its element.
    parts.sort(key=lambda pair: -DTYPE_BITS[pair[1].dtype])
    placed = one_after_another((p.name, p.dtype, p.shape, p.nbytes) for _, p in parts)
    keys, count = _keys([change.path for change in changes.changes], layers)
    config = {
        **({} if base_model is None else {"model": base_model}),
        "fine_tune_type": "dora" if changes.has_magnitudes else "lora",
        "num_layers": count,
        "lora_parameters": {
            "rank": changes.rank,
            "scale": changes.scale,
            "dropout": 0.0,
            "keys": keys,
        },
    }
    return AdapterFolder(
        changes=changes,
        parts=tuple(parts),
        header=header(placed, "mlx"),
        config=json.dumps(config, indent=4) + "\n",
    )


def _parts(changes: Changes, change: Change) -> list[Part]:
    """Return A and B as mlx-lm has them, and magnitudes."""
    rank, (a, b) = changes.rank, changes.dtypes(change)
    if change.form == "experts":
        count, outputs, inputs = change.shape
        shapes: tuple[tuple[int, ...], tuple[int, ...]] = (
            (count, rank, inputs),
            (count, outputs, rank),
        )
    else:
        outputs, inputs = change.shape if change.form == "matrix" else change.shape[::-1]
        shapes = ((inputs, rank), (rank, outputs))
    found = [
        Part(name=f"{change.path}.lora_a", dtype=a, shape=shapes[0]),
        Part(name=f"{change.path}.lora_b", dtype=b, shape=shapes[1]),
    ]
    if change.magnitude is not None:
        dtype = change.magnitude.tensor.dtype
        found.append(Part(name=f"{change.path}.m", dtype=dtype, shape=(outputs,)))
    return found


def _keys(paths: list[str], layers: int) -> tuple[list[str], int]:
    """Return the keys of ``lora_parameters``, and the number of last layers that they hold for.

    Keys below a layer are for all of the last layers, and so they are written where the adapter is
    like that, which every reader knows. Whole paths mean one module each.
    """
    below: dict[int, list[str]] = {}
    others = []
    for path in paths:
        match = _LAYER.fullmatch(path)
        if match is None:
            others.append(path)
        else:
            below.setdefault(int(match[2]), []).append(match[3])
    first = min(below, default=layers)
    regular = list(below) == list(range(first, layers)) and all(
        names == below[first] for names in below.values()
    )
    if below and regular:
        return [*below[first], *others], layers - first
    return paths, layers
