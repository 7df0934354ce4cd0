"""What the user points at: an adapter folder, a model folder, or a reference that a plugin fetches.

Core knows four source kinds: ``adapter`` (a PEFT folder), ``base`` (the model under it),
``adapter-stack`` (several adapters in order, each with a weight) and ``checkpoint`` (a full model).
What is in the files is the plugins' business.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from uploader_core.artifact import Artifact, Json
from uploader_core.contract.context import FetchedSource
from uploader_core.contract.specs import Finding
from uploader_core.errors import SourceError, UploaderError, UsageError
from uploader_core.planning.base_model import (
    CONFIG,
    Fetch,
    Identify,
    find_base,
    public_name,
    read_claim,
    with_pin,
)
from uploader_core.planning.source_files import has_weights, is_local, list_files, names_in
from uploader_core.planning.training_runs import find_runs
from uploader_core.planning.unusable_sources import (
    explain,
    explain_inside,
    refuse_unusable,
    refuse_unusable_copy,
)

STACK = "adapter-stack"
SOURCE_KINDS = ("adapter", "base", STACK)
"""Kinds that no step makes; with ``checkpoint`` all that a source can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Everything that a plan can start from.

    Attributes:
        kind: ``adapter``, ``adapter-stack`` or ``checkpoint``.
        folder: The source's folder.
        fetched: What a source plugin said of it; None for a folder that the user pointed at.
        artifacts: By kind.
        missing: Kinds that would be there but for an error, which is raised only when a step
            needs the kind.
        base_model: As the adapter or the user named it, None when unknown.
        base_is_hub_id: Whether that may be published.
        base_revision: Commit, when known.
        base_pinned: Whether somebody asked for that revision, and did not just get the newest.
        findings: What the user should know of the base.
    """

    kind: str
    folder: Path
    artifacts: Mapping[str, Artifact]
    fetched: FetchedSource | None = None
    missing: Mapping[str, UploaderError] = field(default_factory=dict)
    base_model: str | None = None
    base_is_hub_id: bool = False
    base_revision: str | None = None
    base_pinned: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def shown(self) -> str:
        """What a person knows the source by: its folder, or its public name and commit."""
        if self.fetched is None:
            return str(self.folder)
        return f"{self.fetched.model_id}@{self.fetched.revision}"

    def to_json(self, because: str | None = None) -> dict[str, Json]:
        """Return what programs are told.

        Args:
            because: Why this source, where the user named none.
        """
        return {"kind": self.kind, "path": self.shown, "because": because}


def open_source(
    reference: str,
    base: str | None,
    fetch: Fetch,
    adapters: Sequence[str] = (),
    identify: Identify = lambda _: None,
) -> Sources:
    """Find out what the user points at.

    Args:
        reference: A folder, or something that a source plugin understands.
        base: The same for the base model; overrides what the adapter says.
        fetch: Asks the source plugins.
        adapters: More adapters, ``REFERENCE`` or ``REFERENCE=WEIGHT``, merged after the source in
            this order. The source may be the base model itself then.
        identify: Asks the source plugins what a folder is a copy of.

    Raises:
        UsageError: There is no such folder.
        SourceError: The folder holds neither an adapter nor a model.
    """
    parts = [_weighted(adapter, fetch) for adapter in adapters]
    # A base as the source is the one that they were trained on, also where a name is all of it.
    reference = with_pin(reference, [read_claim(folder) for folder, _ in parts])
    folder, fetched = _resolve_folder(reference, fetch)
    if fetched is not None:
        refuse_unusable_copy(fetched)
    elif (folder / CONFIG).is_file() or (folder / "config.json").is_file():
        refuse_unusable(folder)
    if (folder / CONFIG).is_file():
        opened = _adapters([(folder, 1.0), *parts], base, fetch, identify, fetched)
        return replace(opened, fetched=fetched)
    if (folder / "config.json").is_file() and parts:
        if base is not None:
            raise UsageError(
                f"SOURCE is a base model already ({folder}), and --base names another",
                next="leave --base out, or give an adapter as SOURCE",
            )
        # It is here already: nothing is fetched twice.
        opened = _adapters(parts, reference, lambda *_: fetched, identify)
        return replace(opened, fetched=fetched)
    if (folder / "config.json").is_file():
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
            fetched=fetched,
            base_model=None if fetched is None else fetched.model_id,
            base_is_hub_id=fetched is not None,
            base_revision=None if fetched is None else fetched.revision,
            findings=() if base is None else (_unused(base, folder),),
        )
    raise _refusal(folder)


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


def _resolve_folder(reference: str, fetch: Fetch) -> tuple[Path, FetchedSource | None]:
    path = Path(reference).expanduser()
    if path.is_dir():
        return path.resolve(), None
    if path.exists():
        found = explain(path.resolve()) if path.suffix != ".safetensors" else None
        if found is not None:
            raise found
        raise UsageError(
            f"{path} is a file, not a folder",
            next=f"uploader run {path.parent}" if path.suffix == ".safetensors" else None,
        )
    fetched = None if is_local(reference) else fetch(reference, "source")
    if fetched is not None:
        return fetched.path.resolve(), fetched
    raise UsageError(
        f"there is no folder {reference}",
        safe="nothing was written",
        next="give the folder that the trainer saved, such as ./outputs/final_model",
    )


def _adapters(
    parts: Sequence[tuple[Path, float]],
    base: str | None,
    fetch: Fetch,
    identify: Identify,
    fetched: FetchedSource | None = None,
) -> Sources:
    """Open one adapter, or several as a stack, with the base under them.

    Args:
        parts: Folders and weights, in order.
        base: What the user named.
        fetch: Asks the source plugins.
        identify: Asks them what a folder is a copy of.
        fetched: What a source plugin said of the first adapter.
    """
    claims = [read_claim(folder) for folder, _ in parts]
    single = len(parts) == 1 and parts[0][1] == 1
    artifact = _single(parts[0][0], claims[0].name, fetched) if single else _stack(parts)
    public = public_name(claims[0].name, base)
    opened = Sources(
        kind=artifact.kind,
        folder=parts[0][0],
        artifacts={artifact.kind: artifact},
        base_model=public or base or claims[0].name,
        base_is_hub_id=public is not None,
    )
    try:
        found = find_base(claims, base, fetch, identify)
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


def _weighted(adapter: str, fetch: Fetch) -> tuple[Path, float]:
    """Open ``REFERENCE`` or ``REFERENCE=WEIGHT``."""
    reference, weight = adapter, 1.0
    match = re.fullmatch(r"(.+)=([-+]?[\d.]+(?:e[-+]?\d+)?)", adapter)
    if match is not None and not Path(adapter).expanduser().is_dir():
        try:
            reference, weight = match[1], float(match[2])
        except ValueError as error:
            raise UsageError(
                f"--adapter {adapter}: {match[2]!r} is no weight", next=f"--adapter {match[1]}=0.5"
            ) from error
    folder, _ = _resolve_folder(reference, fetch)
    if not (folder / CONFIG).is_file():
        raise SourceError(
            f"{folder} holds no adapter: there is no adapter_config.json",
            owner=f"--adapter {adapter}",
            safe="nothing was written",
            next="give the folder that the trainer saved",
        )
    return folder, weight
