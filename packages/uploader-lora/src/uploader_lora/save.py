"""The ``lora`` artifact: the files that PEFT reads, copied byte for byte.

Only a file that holds another chat template than the one that transformers takes, or a path of this
machine, is changed. Parts of the model that a trainer saved next to the adapter, and reads there
again, go along.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    Artifact,
    Estimate,
    Finding,
    Json,
    OutputFolder,
    PlanContext,
    ReleaseInfo,
    StepContext,
)
from uploader_lora import unread
from uploader_lora.adapter import Adapter
from uploader_lora.companions import check_inside, companion_files, companion_role
from uploader_lora.config import AdapterConfig
from uploader_lora.finite import refuse_not_finite
from uploader_lora.lost import lost_findings
from uploader_lora.modules import module_findings
from uploader_lora.positions import describe_positions, trained_positions, with_positions
from uploader_lora.private_paths import is_local_path, published_texts
from uploader_lora.reading import CONFIG, STEM, read_adapter
from uploader_lora.siblings import sibling_findings
from uploader_lora.stored import has_weights, read_json, read_stored, weight_files
from uploader_lora.targets import TASK_HEADS, is_saved
from uploader_lora.task import adapter_task
from uploader_lora.templates import check_templates
from uploader_lora.trained_config import config_findings
from uploader_lora.untrained import untrained_findings
from uploader_lora.where_it_runs import Described, of_adapter, planned, recorded


def save(context: StepContext) -> Artifact:
    """Copy the adapter into the release."""
    folder = context.input("adapter").path
    adapter = read_adapter(folder)
    refuse_not_finite(adapter.tensors.values())
    files = _files(folder, context.release.leave_behind)
    texts = changed_texts(folder, adapter.config, context.release)
    total = sum(path.stat().st_size for path, _ in files.values())
    done = 0
    for name, (path, role) in files.items():
        context.progress("copying", done, total)
        put(context.output, name, path, role, texts)
        done += path.stat().st_size
    context.progress("copying", done, total)
    task = adapter_task(folder)
    base = Described.in_folder(context.sources.get("base"))
    where = recorded(of_adapter(adapter, base), task)
    return context.artifact({**_describe(adapter), **task.to_json(), **where})


def check(context: PlanContext) -> Iterator[Finding]:
    """Read the adapter's headers; an adapter that cannot be read raises."""
    folder = context.input("adapter").path
    adapter = read_adapter(folder)
    _files(folder, context.release.leave_behind)
    yield from unread.refusals_of_adapter(context, alone=True)
    along = unread.carried(folder, context.release.leave_behind)
    if along:
        yield Finding(
            level="note",
            what=f"{', '.join(along)} goes with the adapter; PEFT does not read it",
            next=f"--leave-behind {','.join(along)}",
        )
    yield from _wrapped(adapter)
    yield from untrained_findings(adapter)
    yield from sibling_findings(folder)
    yield from _unstored(adapter, context.sources.get("base"))
    yield from _against_base(adapter, context.sources.get("base"))
    yield from check_templates(companion_files(folder))
    yield from module_findings(companion_files(folder), (folder,))
    yield from _not_served(adapter, context.sources.get("base"))
    base = adapter.config.base_model
    if CONFIG in changed_texts(folder, adapter.config, context.release):
        yield Finding(
            level="note",
            what=f"adapter_config.json names the base model by a path of this machine ({base}); "
            f"{context.release.base_model} is written instead",
        )
    elif base is not None and is_local_path(base):
        yield Finding(
            level="warning",
            what=f"adapter_config.json names the base model by a path of this machine ({base}), "
            "which is published with it and which nobody else can load",
            # No path: what was fetched is in a folder of ours, which is no place to edit.
            next="--base USER/MODEL with its public name, or put that into adapter_config.json "
            'where the adapter comes from: "base_model_name_or_path": "user/model"',
        )


def changed_texts(folder: Path, config: AdapterConfig, release: ReleaseInfo) -> dict[str, str]:
    """Return new contents of the files that are not published as they are, by name."""
    texts = published_texts(companion_files(folder))
    local = config.base_model is not None and is_local_path(config.base_model)
    if local and release.base_is_hub_id and release.base_model:
        public = {**config.raw, "base_model_name_or_path": release.base_model}
        texts[CONFIG] = json.dumps(public, indent=2, ensure_ascii=False) + "\n"
    return texts


def _not_served(adapter: Adapter, base: Path | None) -> Iterator[Finding]:
    """Say which servers of adapters will not load this one, before it is published for them."""
    verdicts = of_adapter(adapter, Described.in_folder(base))
    yield from planned("lora", verdicts, adapter_task(adapter.folder, base))


def _wrapped(adapter: Adapter) -> Iterator[Finding]:
    """Refuse names that PEFT finds no module for, so that it loads an adapter without effect."""
    if adapter.unwrapped:
        file = adapter.folder / f"{STEM}.safetensors"
        parts = [word.partition(" ")[0] for word in adapter.unwrapped]
        plain = "k" + "".join(f".replace({part!r}, '')" for part in parts)
        rename = (
            "from safetensors.torch import load_file, save_file; "
            f"f = {str(file)!r}; save_file({{{plain}: v for k, v in load_file(f).items()}}, f, "
            "{'format': 'pt'})"
        )
        yield Finding(
            level="error",
            what=f"the names of the tensors have {', '.join(adapter.unwrapped)} in them, and PEFT "
            "loads such an adapter without any of its tensors",
            next=f"python -c {shlex.quote(rename)}; or release merged formats alone: "
            "--plugins merged",
        )


def _against_base(adapter: Adapter, base: Path | None) -> Iterator[Finding]:
    """Say what does not fit the base that the adapter is for, where that is here."""
    file = None if base is None else base / "config.json"
    if base is None or file is None or not file.is_file():
        return
    before = read_json(file)
    yield from _positions(adapter.folder, before)
    yield from config_findings(adapter.folder, before)
    if has_weights(base, "model"):
        yield from lost_findings(adapter, read_stored(base, "model"), before)


def _positions(folder: Path, before: Mapping[str, Any]) -> Iterator[Finding]:
    """Say that PEFT will load the adapter on positions that it was not trained with."""
    positions = trained_positions(folder, before)
    if positions is not None:
        trained = describe_positions(with_positions(before, positions))
        yield Finding(
            level="warning",
            what=f"config.json beside the adapter says that it was trained with {trained}, and the "
            f"base has {describe_positions(before)}; adapter_config.json has no place for that, so "
            "who loads the adapter on the base gets something else",
            next="release the merged model, which has what was trained: --plugins merged",
        )


def _unstored(adapter: Adapter, base: Path | None) -> Iterator[Finding]:
    """Look for modules that the adapter was to hold whole, and does not."""
    if adapter.unstored and base is not None and has_weights(base, "model"):
        modules = [name.rpartition(".")[0] for name in read_stored(base, "model")]
        for name in adapter.unstored:
            there = next((module for module in modules if is_saved(module, name)), None)
            if there is not None:
                yield Finding(
                    level="error",
                    what=f"modules_to_save names {name!r}, which the base has ({there}), and the "
                    "adapter holds no tensor of it",
                    next="save the adapter again with save_pretrained",
                )
        return
    expected = TASK_HEADS.get(adapter.config.task_type or "", ())
    unknown = [name for name in adapter.unstored if name not in expected]
    if unknown:
        yield Finding(
            level="warning",
            what=f"modules_to_save names {unknown[0]!r}, and the adapter holds no tensor of it; "
            "that is right only if the base model, which is not here, has no such module",
            next="add --base PATH_OR_ID to compare them",
        )


def estimate(context: PlanContext) -> Estimate:
    """Count the bytes of the files; a copy is exact."""
    folder = context.input("adapter").path
    texts = changed_texts(folder, read_adapter(folder).config, context.release)
    sizes = tuple(
        (name, len(texts[name].encode()) if name in texts else path.stat().st_size)
        for name, (path, _) in _files(folder, context.release.leave_behind).items()
    )
    return Estimate(
        bytes_written=sum(size for _, size in sizes),
        peak_memory=16 << 20,
        exact=True,
        files=sizes,
    )


def beside(folder: Path) -> dict[str, tuple[Path, str]]:
    """Return (path, role) by name of what belongs to an adapter besides itself.

    Raises:
        SourceError: One of them is a link that leads out of the folder.
    """
    files = companion_files(folder)
    for path in files.values():
        check_inside(folder, path)
    return {name: (path, companion_role(name) or "other") for name, path in files.items()}


def put(output: OutputFolder, name: str, path: Path, role: str, texts: Mapping[str, str]) -> None:
    """Copy a file, unless it is there already, or write its new content."""
    if name in texts:
        output.write(name, texts[name], role=role)
    elif output.done(name) is None:
        output.copy(path, name, role=role)


def _files(folder: Path, leave_behind: Collection[str]) -> dict[str, tuple[Path, str]]:
    """Return (path, role) by name: configuration, weights and what is next to them."""
    files = {CONFIG: (folder / CONFIG, "config")}
    for name in weight_files(folder, STEM):
        files[name] = (folder / name, "weights" if name.endswith(".safetensors") else "config")
    carried = unread.carried(folder, leave_behind)
    along = {name: (path, "weights") for name, path in carried.items()}
    for path, _ in (*files.values(), *along.values()):
        check_inside(folder, path)
    return files | beside(folder) | along


def _describe(adapter: Adapter) -> dict[str, Json]:
    config = adapter.config
    ranks = sorted({update.rank for update in adapter.updates})
    features: list[Json] = [
        word
        for word, present in (
            ("rslora", config.use_rslora),
            ("dora", config.use_dora),
            ("lora_bias", config.lora_bias),
            ("bias", config.bias != "none"),
            ("modules_to_save", bool(config.modules_to_save)),
            ("trainable_tokens", bool(config.trainable_tokens)),
            ("target_parameters", bool(config.target_parameters)),
        )
        if present
    ]
    local = config.base_model is not None and is_local_path(config.base_model)
    return {
        "base_model": None if local else config.base_model,
        "base_is_local_path": local,
        "peft_version": config.peft_version,
        "ranks": list(ranks),
        "alpha": config.lora_alpha,
        "modules": len({update.module for update in adapter.updates}),
        "tensors": len(adapter.tensors),
        "features": features,
    }
