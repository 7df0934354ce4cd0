"""What the files of an adapter say of the base that it was trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from uploader_core.artifact import Json
from uploader_core.contract.sources import is_local
from uploader_core.errors import SourceError
from uploader_core.lineage import NAME as LINEAGE
from uploader_core.untrusted_json import read_json

CONFIG = "adapter_config.json"

COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGEST_NAME = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What an adapter's files say of the base that it was trained on.

    Attributes:
        folder: The adapter's.
        name: A public name or a path, as the trainer saw it; None when nothing is said.
        revision: Branch, tag or commit that was loaded; None when nothing is said.
        said_in: File and key that name the revision.
    """

    folder: Path
    name: str | None
    revision: str | None = None
    said_in: str = ""

    @property
    def reference(self) -> str:
        return f"{self.name}@{self.revision}"


def read_claim(folder: Path) -> Claim:
    """Read what an adapter's folder says of its base.

    peft writes ``revision`` of the base into ``adapter_config.json`` (``PeftConfig.revision``). Our
    own callback writes the commit that transformers loaded into the lineage, which is more exact
    than the name of a branch.

    Raises:
        SourceError: ``adapter_config.json`` cannot be read, or its revision is none.
    """
    config = read_config(folder / CONFIG)
    named = config.get("base_model_name_or_path")
    name = named if isinstance(named, str) and named else None
    if name is not None and (len(name) > _LONGEST_NAME or "\0" in name):
        raise SourceError(
            f"base_model_name_or_path is {name[:60]!r}, which names no model",
            owner=str(folder / CONFIG),
            safe="nothing was written",
            next="add --base PATH_OR_ID, and correct it there",
        )
    revision = config.get("revision") or None
    if revision is not None and not isinstance(revision, str):
        raise SourceError(
            f"revision is {revision!r}, which names no branch, tag or commit",
            owner=str(folder / CONFIG),
            safe="nothing was written",
            next="write the commit of the base model there, or null",
        )
    said_in = f"revision in {folder / CONFIG}"
    if revision is None or not COMMIT.fullmatch(revision):
        try:
            known = read_json(folder / LINEAGE)
        except (OSError, ValueError):
            known = None
        commit = known.get("base_revision") if isinstance(known, dict) else None
        same = isinstance(known, dict) and name is not None and known.get("base_model") == name
        if same and isinstance(commit, str) and COMMIT.fullmatch(commit):
            revision, said_in = commit, f"base_revision in {folder / LINEAGE}"
    return Claim(folder=folder, name=name, revision=revision, said_in=said_in)


def read_config(path: Path) -> dict[str, Json]:
    """Read an adapter's configuration.

    Raises:
        SourceError: It is no JSON object.
    """
    try:
        config = read_json(path)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path} cannot be read: {error}", next="save the adapter again with save_pretrained"
        ) from error
    if not isinstance(config, dict):
        raise SourceError(f"{path} is not a JSON object", next="save the adapter again")
    return config


def with_pin(reference: str, claims: Sequence[Claim]) -> str:
    """Add to a model's name the revision that adapters were trained on; a path stays as it is."""
    if is_local(reference) or "@" in reference:
        return reference
    pins = [c for c in claims if c.revision is not None and same_name(c.name, reference)]
    return f"{reference}@{pins[0].revision}" if pins else reference


def same_name(name: str | None, model: str) -> bool:
    """Compare public names; hubs take them in any case."""
    return name is not None and name.casefold() == model.casefold()
