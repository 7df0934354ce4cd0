"""An MLX model as a folder: which files, how large, with which configuration. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from uploader_core.plugin import Artifact, SourceError
from uploader_merged import Checkpoint, CompanionFile, open_checkpoint
from uploader_merged.base.model import CONFIG
from uploader_merged.settings import shard_limit
from uploader_merged.weight_files import INDEX
from uploader_mlx.architecture.configured import config_json
from uploader_mlx.architecture.described import Sanitised
from uploader_mlx.architecture.installed import require
from uploader_mlx.layout import Shard, plan_shards
from uploader_mlx.selection import Selection, select
from uploader_mlx.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """Everything that will be written for one kind.

    Attributes:
        kind: ``16bit``, or how it is quantised.
        model: The checkpoint as mlx-lm has it.
        selection: What is quantised.
        shards: Weight files.
        index: Text of the index.
        config: Text of ``config.json``.
        companions: Files that are copied.
        sizes: Bytes by file name, exact.
    """

    kind: str
    model: Sanitised = field(repr=False)
    selection: Selection
    shards: tuple[Shard, ...] = field(repr=False)
    index: str = field(repr=False)
    config: str = field(repr=False)
    companions: tuple[CompanionFile, ...]
    sizes: Mapping[str, int]


def open_for_mlx(source: Artifact) -> Checkpoint:
    """Open a checkpoint, with fused experts taken apart where mlx-lm knows single ones alone.

    Args:
        source: A ``checkpoint`` artifact.

    Raises:
        PluginError: mlx or mlx-lm is not there.
        SourceError: It cannot be opened.
    """
    checkpoint = open_checkpoint(source)
    single = checkpoint.with_single_experts(lambda _: False)
    if single.names == checkpoint.names or _takes(checkpoint) or not _takes(single):
        return checkpoint
    return single


def _takes(checkpoint: Checkpoint) -> bool:
    """Return whether mlx-lm takes the names of a checkpoint."""
    require()
    from uploader_mlx.architecture.sanitised import sanitise

    try:
        sanitise(checkpoint)
    except SourceError:
        return False
    return True


def plan_folder(checkpoint: Checkpoint, kind: str, settings: Settings) -> Folder:
    """Lay out the folder from headers alone.

    Args:
        checkpoint: The model.
        kind: ``16bit``, or how it is quantised.
        settings: The user's.

    Raises:
        PluginError: mlx or mlx-lm is not there.
        SourceError: mlx-lm does not take the model.
        UsageError: A setting is not usable.
    """
    require()
    from uploader_mlx.architecture.sanitised import sanitise

    model = sanitise(checkpoint, settings.dtype)
    selection = select(model, kind, settings)
    limit = shard_limit(settings.shard_size, "--mlx-shard-size")
    shards = plan_shards(model.outputs, selection.modules, limit)
    index = _index(model, shards)
    config = config_json(model.config, selection.config, vision=model.vision)
    companions = checkpoint.companions()
    sizes = {shard.name: shard.nbytes for shard in shards}
    sizes |= {INDEX: len(index.encode()), CONFIG: len(config.encode())}
    sizes |= {file.name: file.nbytes for file in companions}
    return Folder(
        kind=kind,
        model=model,
        selection=selection,
        shards=shards,
        index=index,
        config=config,
        companions=companions,
        sizes=sizes,
    )


def _index(model: Sanitised, shards: tuple[Shard, ...]) -> str:
    """Return the text that ``save_model`` of mlx_lm/utils.py writes, also for a single file."""
    files = {name: shard.name for shard in shards for name in shard.parts}
    size = sum(stored.nbytes for shard in shards for stored in shard.stored)
    return json.dumps(
        {
            "metadata": {
                "total_size": size,
                "total_parameters": model.parameters,
            },
            "weight_map": dict(sorted(files.items())),
        },
        indent=4,
    )
