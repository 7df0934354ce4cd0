"""Recognise a folder with an adapter of mlx-lm, and its base. Light: every run asks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from uploader_core.plugin import (
    Artifact,
    ArtifactFile,
    Finding,
    Json,
    PluginError,
    ReaderContext,
    SourceError,
    Sources,
    UploaderError,
    from_home,
    is_local,
)
from uploader_mlx.adapter import CONFIG, WEIGHTS

SCHEME = "mlx-adapter:"
"""What the source plugin of this distribution answers to; nobody types it."""

_GENERIC = re.compile(r"(adapters?|lora|final|outputs?|mlx|best|model)", re.I)
_OF_MLX = "mlx-community/"


def read(context: ReaderContext) -> Sources | None:
    """Read a source, if it is an adapter of mlx-lm; what it is in PEFT is made of it meanwhile.

    Raises:
        SourceError: It is one, and has no counterpart in PEFT.
    """
    located = context.locate()
    folder = located.path
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        return None
    from uploader_mlx.source.as_peft import as_peft, base_named

    named = context.base or base_named(folder)
    as_peft(folder, named)  # refuse before anything is made
    asked = f"{SCHEME}{json.dumps([str(folder), named])}"
    made = context.fetch(asked, "source")
    if made is None:
        raise PluginError(
            "the part of uploader-mlx that reads adapters is not there",
            owner="uploader-mlx",
            next="pip install --force-reinstall uploader-mlx",
        )
    origin: dict[str, Json] = {}
    if located.fetched is not None:
        origin = {"model_id": located.fetched.model_id, "revision": located.fetched.revision}
        if located.fetched.unfetched:
            origin["unfetched"] = list(located.fetched.unfetched)
    adapter = Artifact(
        kind="adapter",
        path=made.path,
        files=_files(made.path),
        metadata={"base_model": named, **origin},
    )
    public = named is not None and not is_local(named)
    sources = Sources(
        kind="adapter",
        folder=folder,
        fetched=located.fetched,
        artifacts={"adapter": adapter},
        name=_name(folder),
        base_model=None if named is None else named.partition("@")[0] if public else named,
        base_is_hub_id=public,
        findings=tuple(_findings(named, context.base)),
    )
    try:
        return _with_base(sources, named, context)
    except UploaderError as error:
        return replace(sources, missing={"base": error})


def _with_base(sources: Sources, named: str | None, context: ReaderContext) -> Sources:
    """Add the base model, from this machine or fetched.

    Raises:
        SourceError: It is not there.
    """
    if named is None:
        raise _no_base("it does not say which base model it was trained on")
    for place in (from_home(named, typed=False), sources.folder / named):
        if (place / "config.json").is_file():
            path, metadata, revision = place.resolve(), dict[str, Json](), None
            known = context.identify(path)
            if known is not None:
                metadata = {"model_id": known.model_id, "revision": known.revision}
                revision = known.revision
            break
    else:
        fetched = None if is_local(named) else context.fetch(named, "base")
        if fetched is None:
            raise _no_base(f"its base model {named} is not on this machine")
        path, revision = fetched.path.resolve(), fetched.revision
        metadata = {"model_id": fetched.model_id, "revision": revision}
    base = Artifact(kind="base", path=path, files=_files(path), metadata=metadata)
    return replace(
        sources,
        artifacts={"base": base, **sources.artifacts},
        base_revision=revision,
        base_pinned="@" in named,
    )


def _no_base(why: str) -> SourceError:
    return SourceError(
        f"the adapter of mlx-lm has no base: {why}",
        safe="nothing was written",
        next="add --base PATH_OR_ID",
    )


def _findings(named: str | None, said: str | None) -> list[Finding]:
    if said is None and named is not None and named.startswith(_OF_MLX):
        return [
            Finding(
                level="warning",
                what=f"the adapter names {named} as its base, which is for MLX alone and may be "
                "quantised",
                next="name the model that it was made from: --base PATH_OR_ID",
            )
        ]
    return []


def _files(folder: Path) -> tuple[ArtifactFile, ...]:
    suffixes = {".safetensors", ".json", ".model", ".jinja", ".txt", ".tiktoken", ".md"}
    return tuple(
        ArtifactFile(
            name=path.name,
            size=path.stat().st_size,
            sha256="",
            role="weights" if path.suffix == ".safetensors" else "config",
        )
        for path in sorted(folder.iterdir())
        if path.suffix in suffixes and path.is_file()
    )


def _name(folder: Path) -> str:
    """Name a release after the folder, or the one that it is in."""
    for part in (folder, *folder.parents):
        if part.name and not _GENERIC.fullmatch(part.name):
            return re.sub(r"[^\w.-]+", "-", part.name).strip("-.") or "model"
    return "model"
