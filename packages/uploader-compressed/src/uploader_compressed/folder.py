"""A compressed model as a folder: which files, how large, with which configuration. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader_compressed.layout import Shard, plan_shards
from uploader_compressed.schemes import Scheme, scheme_of
from uploader_compressed.selection import Selection, select
from uploader_compressed.settings import Settings
from uploader_merged import Checkpoint, CompanionFile
from uploader_merged.base.model import CONFIG
from uploader_merged.settings import shard_limit
from uploader_merged.weight_files import INDEX, index_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """Everything that will be written for one scheme.

    Attributes:
        scheme: How it is quantised.
        selection: What is.
        shards: Weight files.
        index: Text of the index; None for a single file.
        config: Text of ``config.json``.
        companions: Files that are copied.
        sizes: Bytes by file name, exact.
    """

    scheme: Scheme
    selection: Selection
    shards: tuple[Shard, ...] = field(repr=False)
    index: str | None = field(repr=False)
    config: str = field(repr=False)
    companions: tuple[CompanionFile, ...]
    sizes: Mapping[str, int]


def plan_folder(checkpoint: Checkpoint, scheme: str, settings: Settings) -> Folder:
    """Lay out the folder from headers alone.

    Args:
        checkpoint: The model.
        scheme: Name of a scheme.
        settings: The user's.

    Raises:
        UsageError: A setting is not usable.
    """
    how = scheme_of(scheme, settings.group_size)
    selection = select(checkpoint, settings.ignore)
    limit = shard_limit(settings.shard_size, "--compressed-shard-size")
    shards = plan_shards(checkpoint, how, frozenset(selection.names), limit)
    stored = ((t.name, shard.name, t.part.nbytes) for shard in shards for t in shard.tensors)
    index = index_json(stored) if len(shards) > 1 else None
    config = {**checkpoint.config, "quantization_config": how.config([*selection.ignore])}
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    companions = checkpoint.companions()
    sizes = {shard.name: shard.nbytes for shard in shards}
    if index is not None:
        sizes[INDEX] = len(index.encode())
    sizes[CONFIG] = len(text.encode())
    sizes |= {file.name: file.nbytes for file in companions}
    return Folder(
        scheme=how,
        selection=selection,
        shards=shards,
        index=index,
        config=text,
        companions=companions,
        sizes=sizes,
    )
