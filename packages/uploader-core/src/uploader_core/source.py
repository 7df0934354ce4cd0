"""What the user points at: an adapter folder, a model folder, or a reference that a plugin fetches.

Core knows four source kinds: ``adapter`` (a PEFT folder), ``base`` (the model under it),
``adapter-stack`` (several adapters in order, each with a weight) and ``checkpoint`` (a full model).
What is in the files is the plugins' business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from uploader_core.artifact import Artifact, ArtifactFile, Json
from uploader_core.context import FetchedSource
from uploader_core.errors import SourceError, UploaderError, UsageError
from uploader_core.parsing import parse_json

STACK = "adapter-stack"
SOURCE_KINDS = ("adapter", "base", STACK)
"""Kinds that no step makes; with ``checkpoint`` all that a source can be."""

Fetch = Callable[[str, str], "FetchedSource | None"]
"""(reference, purpose) -> folder, or None when no plugin answers to the reference."""

# Only these are looked at: a trainer's folder also holds optimizer states and pickles.
_SUFFIXES = {".safetensors", ".json", ".model", ".jinja", ".txt", ".tiktoken", ".md"}
_GENERIC = re.compile(
    r"(final[-_]?model|final|adapter|lora|model|output|outputs|result|checkpoint-\d+|best)", re.I
)


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
    """

    kind: str
    folder: Path
    artifacts: Mapping[str, Artifact]
    fetched: FetchedSource | None = None
    missing: Mapping[str, UploaderError] = field(default_factory=dict)
    base_model: str | None = None
    base_is_hub_id: bool = False
    base_revision: str | None = None

    @property
    def shown(self) -> str:
        """What a person knows the source by: its folder, or its public name and commit."""
        if self.fetched is None:
            return str(self.folder)
        return f"{self.fetched.model_id}@{self.fetched.revision}"


def open_source(
    reference: str, base: str | None, fetch: Fetch, adapters: Sequence[str] = ()
) -> Sources:
    """Find out what the user points at.

    Args:
        reference: A folder, or something that a source plugin understands.
        base: The same for the base model; overrides what the adapter says.
        fetch: Asks the source plugins.
        adapters: More adapters, ``REFERENCE`` or ``REFERENCE=WEIGHT``, merged after the source in
            this order. The source may be the base model itself then.

    Raises:
        UsageError: There is no such folder.
        SourceError: The folder holds neither an adapter nor a model.
    """
    folder, fetched = _resolve_folder(reference, fetch)
    if (folder / "adapter_config.json").is_file():
        opened = replace(_adapter(folder, base, fetch, fetched), fetched=fetched)
        return _stack(opened, [(folder, 1.0)], adapters, fetch) if adapters else opened
    if (folder / "config.json").is_file() and adapters:
        return replace(_on_base(reference, folder, base, adapters, fetch), fetched=fetched)
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
        )
    inside = _last_saved(folder)
    raise SourceError(
        f"{folder} holds neither an adapter (adapter_config.json) nor a model (config.json)",
        safe="nothing was written",
        next=f"uploader run {inside}"
        if inside is not None
        else "point at the folder that the trainer saved",
    )


def _last_saved(folder: Path) -> Path | None:
    """Find what a trainer saved last below its output folder: a final model before checkpoints."""

    def rank(model: Path) -> list[tuple[bool, list[tuple[int, str]], str]]:
        # Of checkpoint-50 and checkpoint-1000 the number counts, of 20260101_120000 the name.
        return [
            (
                not part.startswith("checkpoint-"),
                [(int(n), t) for t, n in re.findall(r"(\D*)(\d+)", part)],
                part,
            )
            for part in model.relative_to(folder).parts
        ]

    for pattern in ("*", "*/*"):
        found = [c for c in folder.glob(pattern) if (c / "adapter_config.json").is_file()]
        if found:
            return max(found, key=rank)
    return None


def _origin(fetched: FetchedSource | None) -> dict[str, Json]:
    """Say in an artifact's metadata where it was fetched; nothing for a local folder."""
    if fetched is None:
        return {}
    return {"model_id": fetched.model_id, "revision": fetched.revision}


def _resolve_folder(reference: str, fetch: Fetch) -> tuple[Path, FetchedSource | None]:
    path = Path(reference).expanduser()
    if path.is_dir():
        return path.resolve(), None
    if path.exists():
        raise UsageError(
            f"{path} is a file, not a folder",
            next=f"uploader run {path.parent}" if path.suffix == ".safetensors" else None,
        )
    fetched = None if _is_local(reference) else fetch(reference, "source")
    if fetched is not None:
        return fetched.path.resolve(), fetched
    raise UsageError(
        f"there is no folder {reference}",
        safe="nothing was written",
        next="give the folder that the trainer saved, such as ./outputs/final_model",
    )


def _is_local(reference: str) -> bool:
    """Tell a path from a public name: a name has no leading dot, slash, tilde or drive."""
    return (
        reference.startswith((".", "/", "~", "\\"))
        or bool(re.match(r"[A-Za-z]:[\\/]", reference))
        or Path(reference).expanduser().exists()
    )


def _adapter(
    folder: Path, base: str | None, fetch: Fetch, fetched: FetchedSource | None = None
) -> Sources:
    config = _read_config(folder / "adapter_config.json")
    named = config.get("base_model_name_or_path")
    name = base or (named if isinstance(named, str) and named else None)
    artifacts = {
        "adapter": Artifact(
            kind="adapter",
            path=folder,
            files=list_files(folder),
            metadata={
                "base_model": named if isinstance(named, str) else None,
                **_origin(fetched),
            },
        )
    }
    # What the adapter says is published, also when --base points at a local copy of it.
    public = named if isinstance(named, str) and named and not _is_local(named) else None
    if base is not None and not _is_local(base):
        public = base.split("@")[0]
    missing: dict[str, UploaderError] = {}
    revision: str | None = None
    try:
        artifacts["base"], revision = _base(name, folder, fetch, public, base is not None)
    except UploaderError as error:
        missing["base"] = error
    return Sources(
        kind="adapter",
        folder=folder,
        artifacts=artifacts,
        missing=missing,
        base_model=public or name,
        base_is_hub_id=public is not None,
        base_revision=revision,
    )


def _base(
    name: str | None, adapter: Path, fetch: Fetch, public: str | None, said: bool
) -> tuple[Artifact, str | None]:
    if name is None:
        raise SourceError(
            f"the adapter in {adapter} does not say which base model it was trained on",
            owner=f"{adapter / 'adapter_config.json'}: base_model_name_or_path is empty",
            safe="nothing was written",
            next="add --base PATH_OR_ID",
        )
    revision: str | None = None
    model_id = public
    path = _local_base(name, adapter, said)
    if path is None:
        fetched = None if _is_local(name) else fetch(name, "base")
        if fetched is None:
            raise SourceError(
                f"the base model {name} was not found here",
                owner=f"named by {adapter / 'adapter_config.json'} or by --base",
                safe="nothing was written",
                next="add --base PATH with the folder that holds the base model"
                + ("" if _is_local(name) else ", or pip install uploader-hf to fetch it by name"),
            )
        path, model_id, revision = fetched.path.resolve(), fetched.model_id, fetched.revision
    artifact = Artifact(
        kind="base",
        path=path,
        files=list_files(path),
        metadata={"model_id": model_id, "revision": revision},
    )
    return artifact, revision


def _local_base(name: str, adapter: Path, said: bool) -> Path | None:
    """Find a base model by its path, which a trainer wrote down as seen from where it ran.

    Args:
        name: Path, relative or not.
        adapter: Folder whose configuration names it.
        said: Whether the user named it, and so as seen from here.

    Raises:
        SourceError: A model lies there as seen from here, and another as seen from the adapter.
    """
    places = [Path(name).expanduser(), *([] if said else [adapter / name])]
    folders = list(dict.fromkeys(place.resolve() for place in places if place.is_dir()))
    models = [folder for folder in folders if (folder / "config.json").is_file()]
    if len(models) > 1:
        raise SourceError(
            f"the base model {name} may be {models[0]} or {models[1]}",
            owner=f"named by {adapter / 'adapter_config.json'}",
            safe="nothing was written",
            next=f"add --base {models[0]}, or the other",
        )
    return next(iter([*models, *folders]), None)


def _on_base(
    reference: str, folder: Path, base: str | None, adapters: Sequence[str], fetch: Fetch
) -> Sources:
    """Open a source that is the base model of the adapters given beside it."""
    if base is not None:
        raise UsageError(
            f"SOURCE is a base model already ({folder}), and --base names another",
            next="leave --base out, or give an adapter as SOURCE",
        )
    first, weight = _weighted(adapters[0], fetch)
    opened = _adapter(first, reference, fetch)
    if weight == 1 and len(adapters) == 1:
        return opened
    return _stack(opened, [(first, weight)], adapters[1:], fetch)


def _stack(
    opened: Sources, first: list[tuple[Path, float]], more: Sequence[str], fetch: Fetch
) -> Sources:
    """Put several adapters in the place of the one that was opened."""
    parts = [*first, *(_weighted(adapter, fetch) for adapter in more)]
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
    artifact = Artifact(
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
    kept = {kind: made for kind, made in opened.artifacts.items() if kind == "base"}
    return replace(opened, kind=STACK, artifacts={**kept, STACK: artifact})


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
    if not (folder / "adapter_config.json").is_file():
        raise SourceError(
            f"{folder} holds no adapter: there is no adapter_config.json",
            owner=f"--adapter {adapter}",
            safe="nothing was written",
            next="give the folder that the trainer saved",
        )
    return folder, weight


def _read_config(path: Path) -> dict[str, Json]:
    try:
        config = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path} cannot be read: {error}", next="save the adapter again with save_pretrained"
        ) from error
    if not isinstance(config, dict):
        raise SourceError(f"{path} is not a JSON object", next="save the adapter again")
    return config


def list_files(folder: Path) -> tuple[ArtifactFile, ...]:
    """List a source folder's files that a release can depend on, without reading them."""
    return tuple(
        ArtifactFile(
            name=path.name,
            size=path.stat().st_size,
            sha256="",
            role="weights" if path.suffix == ".safetensors" else "config",
        )
        for path in sorted(folder.iterdir())
        if path.suffix in _SUFFIXES and path.is_file()
    )


def default_name(folder: Path) -> str:
    """Name a release after its source, skipping names that every trainer uses."""
    for part in (folder, *folder.parents):
        if part.name and not _GENERIC.fullmatch(part.name):
            return re.sub(r"[^\w.-]+", "-", part.name).strip("-.") or "model"
    return "model"
