"""What the user points at: an adapter's folder, a model's folder, or a name that a plugin fetches.

Four kinds come of it: ``adapter`` (a PEFT folder), ``base`` (the model under it), ``adapter-stack``
(several adapters in order, each with a weight) and ``checkpoint`` (a full model). What is in the
files is the formats' business.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from uploader_core.artifact import Artifact, Json
from uploader_core.builtin.local_source.base_model import find_base, is_public, public_name
from uploader_core.builtin.local_source.claims import CONFIG, read_claim, with_pin
from uploader_core.builtin.local_source.folder_files import (
    default_name,
    has_weights,
    list_files,
    names_in,
)
from uploader_core.builtin.local_source.training_runs import find_runs
from uploader_core.builtin.local_source.unusable_folders import (
    explain,
    explain_inside,
    refuse_unusable,
    refuse_unusable_copy,
)
from uploader_core.contract.context import FetchedSource
from uploader_core.contract.sources import STACK, ReaderContext, Sources
from uploader_core.contract.specs import Finding
from uploader_core.errors import SourceError, UploaderError, UsageError
from uploader_core.home import from_home
from uploader_core.manifest_file import CARD
from uploader_core.model_files import leads_out


def read(context: ReaderContext) -> Sources:
    """Find out what the user points at.

    Adapters of ``context.adapters`` are merged after the source in this order. The source may be
    the base model itself then.

    Raises:
        UsageError: There is no such folder.
        SourceError: The folder holds neither an adapter nor a model.
    """
    parts = [_weighted(adapter, context) for adapter in context.adapters]
    # A base as the source is the one that they were trained on, also where a name is all of it.
    reference = with_pin(context.reference, [read_claim(folder) for folder, _ in parts])
    folder, fetched = _resolve_folder(reference, context)
    if fetched is not None:
        refuse_unusable_copy(fetched)
    elif (folder / CONFIG).is_file() or (folder / "config.json").is_file():
        refuse_unusable(folder)
    if fetched is None:
        _refuse_foreign_card(folder)
    if (folder / CONFIG).is_file():
        opened = _adapters([(folder, 1.0), *parts], context, fetched)
    elif not (folder / "config.json").is_file():
        raise _refusal(folder)
    elif parts:
        if context.base is not None:
            raise UsageError(
                f"SOURCE is a base model already ({folder}), and --base names another",
                next="leave --base out, or give an adapter as SOURCE",
            )
        # It is here already: nothing is fetched twice.
        here = replace(context, base=reference, fetch=lambda *_: fetched)
        opened = _adapters(parts, here)
    else:
        opened = _model(folder, context.base, fetched)
    name = "" if fetched is None else fetched.model_id.rsplit("/", 1)[-1]
    return replace(opened, fetched=fetched, name=name or default_name(opened.folder))


def _refuse_foreign_card(folder: Path) -> None:
    """Refuse a card that is no file of the folder; its words would be published."""
    card = folder / CARD
    if card.exists() and (not card.is_file() or leads_out(folder, card)):
        raise SourceError(
            f"{CARD} is a link out of the folder, or no file, and it would be published",
            owner=str(card),
            safe="nothing was written",
            next="put a copy in its place, or take it away",
        )


def _model(folder: Path, base: str | None, fetched: FetchedSource | None) -> Sources:
    artifact = Artifact(
        kind="checkpoint",
        path=folder,
        files=list_files(folder),
        metadata={"base": str(folder), "adapters": [], **_origin(fetched)},
    )
    return Sources(
        kind="checkpoint",
        folder=folder,
        artifacts={"checkpoint": artifact},
        base_model=None if fetched is None else fetched.model_id,
        base_is_hub_id=fetched is not None and is_public(fetched.model_id),
        base_revision=None if fetched is None else fetched.revision,
        findings=() if base is None else (_unused(base, folder),),
    )


def _unused(base: str, folder: Path) -> Finding:
    what = f"--base {base} is not used: {folder} holds a full model, which needs none"
    return Finding(level="warning", what=what)


def _refusal(folder: Path) -> SourceError:
    """Say what a folder is that is no source, or which one inside is."""
    inside = [run.path for run in find_runs([folder], depth=2)]
    if not inside:
        known = explain(folder, weak=False) or explain_inside(folder)
        inside = [] if known else _models_inside(folder)
        known = known or (None if inside else explain(folder))
        if known is not None:
            return known
    return SourceError(
        f"{folder} holds neither an adapter (adapter_config.json) nor a model (config.json)",
        safe="nothing was written",
        next=f"uploader run {shlex.quote(str(inside[0]))}"
        if inside
        else "point at the folder that the trainer saved",
    )


def _models_inside(folder: Path) -> list[Path]:
    """Find models that no trainer says it made, such as one that ``save_pretrained`` left."""
    places = [place for pattern in ("*", "*/*") for place in sorted(folder.glob(pattern))]
    return [
        place
        for place in places
        if (place / "config.json").is_file() and has_weights(names_in(place))
    ]


def _origin(fetched: FetchedSource | None) -> dict[str, Json]:
    """Say in an artifact's metadata where it was fetched; nothing for a local folder."""
    if fetched is None:
        return {}
    left: dict[str, Json] = {"unfetched": list(fetched.unfetched)} if fetched.unfetched else {}
    return {"model_id": fetched.model_id, "revision": fetched.revision, **left}


def _resolve_folder(reference: str, context: ReaderContext) -> tuple[Path, FetchedSource | None]:
    located = context.locate(reference)
    path = located.path
    if located.fetched is None and not path.is_dir():
        found = explain(path.resolve()) if path.suffix != ".safetensors" else None
        if found is not None:
            raise found
        raise UsageError(
            f"{path} is a file, not a folder",
            next=f"uploader run {path.parent}" if path.suffix == ".safetensors" else None,
        )
    return path, located.fetched


def _adapters(
    parts: Sequence[tuple[Path, float]],
    context: ReaderContext,
    fetched: FetchedSource | None = None,
) -> Sources:
    """Open one adapter, or several as a stack, with the base under them.

    Args:
        parts: Folders and weights, in order.
        context: With what the user named as the base, and how to fetch it.
        fetched: What a source plugin said of the first adapter.
    """
    claims = [read_claim(folder) for folder, _ in parts]
    single = len(parts) == 1 and parts[0][1] == 1
    artifact = _single(parts[0][0], claims[0].name, fetched) if single else _stack(parts)
    public = public_name(claims[0].name, context.base)
    opened = Sources(
        kind=artifact.kind,
        folder=parts[0][0],
        artifacts={artifact.kind: artifact},
        base_model=public or context.base or claims[0].name,
        base_is_hub_id=public is not None,
    )
    try:
        found = find_base(claims, context.base, context.fetch, context.identify)
    except UploaderError as error:
        return replace(opened, missing={"base": error})
    return replace(
        opened,
        artifacts={"base": found.artifact, artifact.kind: artifact},
        base_revision=found.revision,
        base_pinned=found.pinned,
        findings=found.findings,
    )


def _single(folder: Path, named: str | None, fetched: FetchedSource | None) -> Artifact:
    return Artifact(
        kind="adapter",
        path=folder,
        files=list_files(folder),
        metadata={"base_model": named, **_origin(fetched)},
    )


def _stack(parts: Sequence[tuple[Path, float]]) -> Artifact:
    """Make one artifact of several adapters, below the folder that they have in common."""
    try:
        root = Path(os.path.commonpath([folder for folder, _ in parts]))
    except ValueError as error:
        raise UsageError(
            "the adapters lie on different drives", next="copy them to the same drive"
        ) from error
    names = [folder.relative_to(root).as_posix() for folder, _ in parts]
    files = {
        (PurePosixPath(name) / file.name).as_posix(): file
        for name, (folder, _) in zip(names, parts, strict=True)
        for file in list_files(folder)
    }
    return Artifact(
        kind=STACK,
        path=root,
        files=tuple(replace(files[name], name=name) for name in sorted(files)),
        metadata={
            "adapters": [
                {"folder": name, "weight": weight}
                for name, (_, weight) in zip(names, parts, strict=True)
            ]
        },
    )


def _weighted(adapter: str, context: ReaderContext) -> tuple[Path, float]:
    """Open ``REFERENCE`` or ``REFERENCE=WEIGHT``."""
    reference, weight = adapter, 1.0
    match = re.fullmatch(r"(.+)=([-+]?[\d.]+(?:e[-+]?\d+)?)", adapter)
    if match is not None and not from_home(adapter).is_dir():
        try:
            reference, weight = match[1], float(match[2])
        except ValueError as error:
            raise UsageError(
                f"--adapter {adapter}: {match[2]!r} is no weight", next=f"--adapter {match[1]}=0.5"
            ) from error
    folder, _ = _resolve_folder(reference, context)
    if not (folder / CONFIG).is_file():
        raise SourceError(
            f"{folder} holds no adapter: there is no adapter_config.json",
            owner=f"--adapter {adapter}",
            safe="nothing was written",
            next="give the folder that the trainer saved",
        )
    return folder, weight
