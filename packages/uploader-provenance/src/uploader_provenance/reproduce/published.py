"""A release as its manifest has it: what ``uploader reproduce`` compares with."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import IntegrityError, UsageError, parse_json, read_manifest, read_text

NAME = "upload_manifest.json"
_SCHEMA = "uploader.manifest-1.json"
_LARGEST = 64 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """A release, and what of it is on this machine.

    Attributes:
        reference: As the user named it.
        folder: Where its manifest is; weights may be missing there, or be outlines.
        complete: Whether everything that the manifest lists is in the folder.
        manifest: As the schema says.
        release_id: SHA-256 of the manifest in the canonical form of RFC 8785.
    """

    reference: str
    folder: Path
    complete: bool
    manifest: Mapping[str, Any]
    release_id: str

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def artifacts(self) -> list[Mapping[str, Any]]:
        """Formats, each with ``kind``, ``step`` and ``metadata``."""
        return list(self.manifest["artifacts"])

    def step(self, step_id: str) -> Mapping[str, Any]:
        """Return what the manifest says of a step, nothing where it says nothing."""
        return next((s for s in self.manifest["steps"] if s["id"] == step_id), {})

    def chain(self, step_id: str) -> list[str]:
        """Return a step and what it was made from, ``source:base`` and the like at the ends."""
        found, todo = [], [step_id]
        while todo:
            step = todo.pop()
            if step not in found:
                found.append(step)
                todo += [str(i) for i in self.step(step).get("inputs", ())]
        return found

    @property
    def sources(self) -> list[str]:
        """Kinds of the materials that its formats are made from.

        A place with one format may need less than its run had: an adapter as trained needs no base.
        """
        needed = {end for made in self.artifacts for end in self.chain(str(made["step"]))}
        kinds = [str(material["kind"]) for material in self.manifest["materials"]]
        return [k for k in kinds if k == self.manifest["source"] or f"source:{k}" in needed]

    def material(self, kind: str) -> Mapping[str, Any] | None:
        return next((m for m in self.manifest["materials"] if m["kind"] == kind), None)

    @property
    def folders(self) -> Mapping[str, str]:
        """By step: what is before the names of its files here, ``lora/`` or nothing."""
        found = {}
        for made in self.artifacts:
            start = f"{made['kind']}/"
            paths = [f["path"] for f in self.manifest["files"] if f["step"] == made["step"]]
            found[made["step"]] = start if all(path.startswith(start) for path in paths) else ""
        return found

    def files_of(self, step_id: str) -> dict[str, Mapping[str, Any]]:
        """Return the files that a step made, by their names in its folder."""
        start = self.folders.get(step_id, "")
        return {
            file["path"].removeprefix(start): file
            for file in self.manifest["files"]
            if file["step"] == step_id
        }


def read_published(reference: str, folder: Path, *, complete: bool) -> Published:
    """Read the manifest of a release.

    Args:
        reference: As the user named it.
        folder: Where it is.
        complete: Whether everything that it lists is there.

    Raises:
        UsageError: There is none.
        IntegrityError: It is damaged, or of a form that this version does not know.
    """
    path = folder / NAME
    if not path.is_file():
        raise UsageError(
            f"{reference} has no {NAME}, so nobody can say how it was made",
            next="name what `uploader run` wrote: its release folder, or hf:user/model",
        )
    try:
        text = read_text(path, most=_LARGEST)
        manifest = parse_json(text)
        read_manifest(text, f"{NAME} of {reference}")
        problem = next(iter(_validator().iter_errors(manifest)), None)
        if problem is not None:
            place = "/".join(map(str, problem.absolute_path))
            raise ValueError(f"{place}: {problem.message[:200]}")
        return Published(
            reference=reference,
            folder=folder,
            complete=complete,
            manifest=manifest,
            release_id=release_id(manifest),
        )
    except (OSError, ValueError, RecursionError) as error:
        raise IntegrityError(
            f"{NAME} of {reference} is damaged: {error}",
            owner=str(path),
            safe="nothing was made",
            next="get the release again, or ask who published it",
        ) from error


def release_id(manifest: Mapping[str, Any]) -> str:
    """Return the digest that a release is known by.

    Two manifests that say the same have the same, however they are spelled.

    Raises:
        ValueError: It holds what JSON has no one spelling for, such as NaN.
    """
    import rfc8785

    try:
        return hashlib.sha256(rfc8785.dumps(dict(manifest))).hexdigest()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise ValueError(f"it has no canonical form: {error}") from error


@functools.cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    place = importlib.resources.files("uploader_core") / "manifest" / "schemas" / _SCHEMA
    return Draft202012Validator(json.loads(place.read_text("utf-8")))
