"""The ``merged-16bit`` artifact as a folder: which files, how large, with which configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploader_merged.base.companions import CompanionFile
from uploader_merged.base.model import CONFIG
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.settings import Merged16Settings, shard_limit
from uploader_merged.sixteen_bit.layout import (
    Shard,
    main_dtype,
    plan_shards,
    target_dtypes,
)
from uploader_merged.weight_files import INDEX, index_json


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedFolder:
    """Everything that will be written.

    Attributes:
        shards: Weight files.
        index: Text of the index; None for a single file.
        config: Text of ``config.json``; None when the base's is right as it is.
        companions: Files that are copied.
        sizes: Bytes by file name, exact.
    """

    shards: tuple[Shard, ...]
    index: str | None
    config: str | None
    companions: tuple[CompanionFile, ...]
    sizes: Mapping[str, int]


def plan_folder(checkpoint: Checkpoint, settings: Merged16Settings) -> MergedFolder:
    """Lay out the folder from headers alone."""
    dtypes = target_dtypes(checkpoint, settings.dtype)
    shards = plan_shards(checkpoint, dtypes, shard_limit(settings.shard_size))
    stored = ((t.name, shard.name, t.nbytes) for shard in shards for t in shard.tensors)
    index = index_json(stored) if len(shards) > 1 else None
    config = _config(checkpoint, settings.dtype)
    companions = checkpoint.companions()
    sizes = {shard.name: shard.nbytes for shard in shards}
    if index is not None:
        sizes[INDEX] = len(index.encode())
    sizes[CONFIG] = (
        (checkpoint.base.folder / CONFIG).stat().st_size if config is None else len(config.encode())
    )
    sizes |= {file.name: file.nbytes for file in companions}
    return MergedFolder(
        shards=shards, index=index, config=config, companions=companions, sizes=sizes
    )


def _config(checkpoint: Checkpoint, dtype: str) -> str | None:
    config = dict(checkpoint.config)
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
    if dtype != "auto" and names[main_dtype(checkpoint)] != dtype:
        config = _with_dtype(config, dtype)
        config.setdefault("torch_dtype" if "torch_dtype" in config else "dtype", dtype)
    if not checkpoint.config_changed and config == checkpoint.config:
        return None
    return json.dumps(config, indent=2, ensure_ascii=False) + "\n"


def _with_dtype(config: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    changed = dict(config)
    for key, value in config.items():
        if key in ("dtype", "torch_dtype") and isinstance(value, str):
            changed[key] = dtype
        elif key.endswith("_config") and isinstance(value, dict):
            changed[key] = _with_dtype(value, dtype)
    return changed
