"""The ``lora-serving`` artifact: the adapter in the form that servers of adapters load.

Exact conversions only. What has no plain low-rank form is refused, with the advice to merge.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    Artifact,
    Estimate,
    Finding,
    Json,
    PlanContext,
    StepContext,
    parse_json,
)
from uploader_lora import unread
from uploader_lora.adapter import Adapter
from uploader_lora.reading import CONFIG, read_adapter
from uploader_lora.save import beside, changed_texts, put
from uploader_lora.task import adapter_task
from uploader_lora.where_it_runs import Described, of_adapter, planned, recorded
from uploader_merged.serving.one_scale import (
    OneScale,
    biases_of,
    one_scale,
    rescaled,
    without_plain_form,
)

WEIGHTS = "adapter_model.safetensors"
_ADVICE = "merge it instead: --plugins merged"


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse what has no plain low-rank form; an adapter that cannot be read raises."""
    folder = context.input("adapter").path
    adapter = read_adapter(folder)
    beside(folder)
    yield from unread.refusals_of_adapter(context, alone=True)
    for what in without_plain_form(adapter):
        yield Finding(
            level="error", what=f"a plain adapter for servers cannot hold {what}", next=_ADVICE
        )
    if biases_of(adapter):
        yield Finding(level="note", what="biases of B are all zero, and are left out")
    scale = one_scale(adapter, padded=True)
    if not scale.exact:
        yield Finding(
            level="note",
            what="scales of modules differ by other factors than powers of two: they are folded "
            "into B, which is stored in float32 and rounded once more in its last bit",
        )
    yield from not_served("lora-serving", adapter, scale.rank or 0, (), context.sources.get("base"))


def not_served(
    kind: str, adapter: Adapter, rank: int, near: Iterable[str], base: Path | None
) -> Iterator[Finding]:
    """Say which servers will not load the adapter that is made of a trained one.

    Args:
        kind: Of what is made.
        adapter: That was trained.
        rank: Of what is made.
        near: Modules that get a low-rank change in place of another one.
        base: Folder of the base, where that is known.
    """
    plain = replace(
        adapter.config, r=rank, use_rslora=False, rank_pattern={}, alpha_pattern={}, bias="none",
        lora_bias=False, use_dora=False, modules_to_save=(), trainable_tokens={}, raw={},
    )  # fmt: skip
    made = replace(
        adapter,
        config=plain,
        updates=(*adapter.updates, *(replace(adapter.updates[0], module=name) for name in near)),
        replacements=(),
        token_rows=(),
    )
    task = adapter_task(adapter.folder, base)
    yield from planned(kind, of_adapter(made, Described.in_folder(base)), task)


def save(context: StepContext) -> Artifact:
    """Write the adapter with one rank and one alpha, and what belongs to it."""
    from uploader_merged.compute.tensors import save_tensors

    folder = context.input("adapter").path
    adapter = read_adapter(folder)
    scale = one_scale(adapter, padded=True)
    if context.output.done(WEIGHTS) is None:
        context.progress("writing the adapter", 0, None, "steps")
        with context.output.reserve(WEIGHTS) as target:
            save_tensors(rescaled(adapter, scale), target)
    write_beside(context, adapter, scale, [update.module for update in adapter.updates])
    task = adapter_task(folder)
    base = Described.in_folder(context.sources.get("base"))
    written = read_adapter(context.output.path)
    return context.artifact(
        {
            **task.to_json(),
            **recorded(of_adapter(written, base), task),
            "rank": scale.rank,
            "alpha": scale.alpha,
            "exact": scale.exact,
            "modules": len(written.updates),
        }
    )


def write_beside(
    context: StepContext, adapter: Adapter, scale: OneScale, modules: Iterable[str]
) -> None:
    """Write everything but the weights: the configuration, tokenizer and template.

    Args:
        context: Of the step.
        adapter: That was trained.
        scale: Of the adapter that is written.
        modules: Paths of the modules that it changes.
    """
    texts = changed_texts(adapter.folder, adapter.config, context.release)
    raw = parse_json(texts[CONFIG]) if CONFIG in texts else adapter.config.raw
    config = _plain_config(raw, scale, frozenset(modules))
    context.output.write(CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    for name, (path, role) in beside(adapter.folder).items():
        put(context.output, name, path, role, texts)


def _plain_config(
    raw: Mapping[str, Any], scale: OneScale, modules: frozenset[str]
) -> dict[str, Json]:
    """Return the configuration without what servers do not know, or would be wrong now."""
    named = raw.get("target_modules")
    # A regular expression, and "all-linear", servers do not resolve.
    targets = set(named) if isinstance(named, list) else set()
    for module in modules:
        if not any(f".{module}".endswith(f".{target}") for target in targets):
            targets.add(module.rpartition(".")[2])
    if raw.get("layers_to_transform") is not None or raw.get("exclude_modules"):
        targets = set(modules)
    return {
        **raw,
        "r": scale.rank,
        "lora_alpha": int(scale.alpha) if scale.alpha.is_integer() else scale.alpha,
        "target_modules": sorted(targets),
        "layers_to_transform": None,
        "layers_pattern": None,
        "exclude_modules": None,
        "bias": "none",
        "lora_bias": False,
        "use_dora": False,
        "trainable_token_indices": None,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
        "modules_to_save": None,
        "init_lora_weights": True,
    }


def estimate(context: PlanContext) -> Estimate:
    """Count the values of A and B at the one rank, in the widest type that they may take."""
    folder = context.input("adapter").path
    adapter = read_adapter(folder)
    rank = max(update.rank for update in adapter.updates)
    values = rank * sum(
        math.prod(tensor.shape) // update.rank
        for update in adapter.updates
        for tensor in (update.a, update.b)
    )
    size = 4 * values + 256 * len(adapter.updates) + 4096
    return Estimate(
        bytes_written=size + sum(path.stat().st_size for path, _ in beside(folder).values()),
        peak_memory=(300 << 20) + 12 * values,
    )
