"""Several adapters on one base: read in order, each with the weight that the user gave it.

What a stack is: the first adapter is merged into the base, the second into the result, and so on,
every sum in float32 and the cast at the very end. That is peft's ``merge_and_unload`` with several
``adapter_names``, and a weight is what peft's ``set_scale`` sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from uploader_core.plugin import SourceError
from uploader_lora import Adapter, read_adapter

AdapterChoice = Path | str | tuple[Path | str, float]
"""Folder of an adapter, alone or with the weight of its change (1 when alone)."""


def read_adapters(choices: Sequence[AdapterChoice], expert_packing: str) -> tuple[Adapter, ...]:
    """Read adapters in the order in which they are merged.

    Args:
        choices: Folders, with weights where they are not 1.
        expert_packing: ``peft`` or ``unsloth`` for files that do not say; ``auto`` refuses those.

    Raises:
        SourceError: A folder holds no adapter that can be used, or not with this weight.
    """
    adapters = []
    for choice in choices:
        folder, weight = choice if isinstance(choice, tuple) else (choice, 1.0)
        adapter = read_adapter(Path(folder))
        if expert_packing != "auto":
            adapter = replace(
                adapter, config=replace(adapter.config, expert_packing=expert_packing)
            )
        adapters.append(_weighted(adapter, weight))
    return tuple(adapters)


def _weighted(adapter: Adapter, weight: float) -> Adapter:
    """Return an adapter whose low-rank changes count so many times."""
    if weight == 1:
        return adapter
    whole = [full.tensor.name for full in adapter.replacements]
    whole += [rows.tensor.name for rows in adapter.token_rows]
    whole += [u.magnitude.name for u in adapter.updates if u.magnitude is not None]
    if whole or not math.isfinite(weight):
        raise SourceError(
            f"the adapter cannot be merged with the weight {weight:g}: "
            + (f"{whole[0]!r} takes the place of the base's values" if whole else "no number"),
            owner=str(adapter.folder),
            safe="nothing was written",
            next="give it the weight 1; only low-rank changes without DoRA can count by halves",
        )
    return replace(
        adapter,
        weight=weight,
        updates=tuple(replace(update, scale=update.scale * weight) for update in adapter.updates),
    )
