"""Two releases compared, format by format: the same bits, the same tensors, or neither, and why.

A format is bit-equal when it has the same files with the same digests. It is tensor-equal when its
weights have the same tensors (name, type, shape and bytes) and something around them differs: how
they are split into files, metadata, configuration.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from uploader_core.plugin import IntegrityError, SourceError, parse_json, read_text
from uploader_provenance.reproduce.published import Published
from uploader_provenance.tensors.digests import NAME as TENSORS
from uploader_provenance.tensors.digests import (
    SCHEMA,
    SUFFIXES,
    Weights,
    digest_weights,
    weights_from_json,
)

Grade = Literal["bit-equal", "tensor-equal", "not"]
_CALIBRATED = re.compile(r"gptq|imatrix|calibration|target_size|awq")
_THREADS = "calibration.threads"
_ROOT = ("python", "platform")
_LARGEST = 64 << 20
"""Bytes of a list of tensors; one of a hundred thousand has 15 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What became of one format.

    Attributes:
        kind: Of the format.
        grade: How near the rebuilt one is.
        files: How many files it has.
        differs: Names of its files that differ, are missing or are new.
        tensors: What differs in the weights, or why that is unknown.
        why: What could have made the difference.
    """

    kind: str
    grade: Grade
    files: int = 0
    differs: tuple[str, ...] = ()
    tensors: tuple[str, ...] = ()
    why: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "grade": self.grade,
            "files": self.files,
            "differs": [*self.differs],
            "tensors": [*self.tensors],
            "why": [*self.why],
        }


def compare(original: Published, rebuilt: Published) -> list[Verdict]:
    """Compare every format of a release with what was rebuilt.

    Args:
        original: As published.
        rebuilt: A release folder, complete.
    """
    made = {artifact["kind"]: artifact for artifact in rebuilt.artifacts}
    return [_compare_one(original, rebuilt, a, made.get(a["kind"])) for a in original.artifacts]


def other_documents(original: Published, rebuilt: Published) -> list[str]:
    """Return the documents that came out otherwise, or were not made; they count for no grade.

    Cards and bills of materials say where something is published and what tools were installed.
    """
    formats = {artifact["step"] for artifact in original.artifacts}
    there = {_document(file) for file in rebuilt.manifest["files"]}
    return sorted(
        file["path"]
        for file in original.manifest["files"]
        if file["step"] not in formats and _document(file) not in there
    )


def _document(file: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return by what a document is known again, whichever place it is about."""
    return (
        file["step"].partition("@")[0],
        file["path"].rpartition("/")[2],
        file["sha256"],
    )


def _compare_one(
    original: Published, rebuilt: Published, then: Mapping[str, Any], now: Mapping[str, Any] | None
) -> Verdict:
    kind, step = str(then["kind"]), str(then["step"])
    recorded = original.files_of(step)
    if now is None:
        return Verdict(kind=kind, grade="not", files=len(recorded), why=("it was not rebuilt",))
    here = rebuilt.files_of(str(now["step"]))
    # A tag of a registry has one quantisation of several, and its manifest lists that one alone.
    elsewhere = then["metadata"].get("quants", {}).keys() - recorded.keys()
    differs = tuple(
        name
        for name in sorted((recorded.keys() | here.keys()) - elsewhere)
        if recorded.get(name, {}).get("sha256") != here.get(name, {}).get("sha256")
    )
    if not differs:
        return Verdict(kind=kind, grade="bit-equal", files=len(recorded))
    why = tuple(_reasons(original, rebuilt, then, now))
    tensors: tuple[str, ...]
    if any(name.endswith(SUFFIXES) for name in differs):
        try:
            tensors = tuple(_tensors(original, rebuilt, step, str(now["step"])))
        except (SourceError, IntegrityError) as error:
            tensors = (f"unknown: {error}",)
    else:
        tensors = ()
    return Verdict(
        kind=kind,
        grade="not" if tensors else "tensor-equal",
        files=len(recorded),
        differs=differs,
        tensors=tensors,
        why=why or ("nothing that is recorded differs: perhaps the machine",),
    )


def _tensors(original: Published, rebuilt: Published, step: str, now: str) -> Iterator[str]:
    """Say what differs in the tensors of two artifacts; nothing where they are the same.

    Raises:
        SourceError: The weights cannot be read, or are not here.
        IntegrityError: What the release says of its tensors is damaged.
    """
    theirs, ours = _sets(original, step), _sets(rebuilt, now)
    if len(theirs) == len(ours) == 1:  # its name is that of a file
        theirs = dict.fromkeys(ours, next(iter(theirs.values())))
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in theirs or name not in ours:
            yield f"{name} is only in the {'rebuilt' if name in ours else 'published'} one"
            continue
        if theirs[name].digest == ours[name].digest:
            continue
        rows = {tensor.name: tensor for tensor in theirs[name].tensors}
        mine = {tensor.name: tensor for tensor in ours[name].tensors}
        others = [t for t in sorted(rows.keys() | mine.keys()) if rows.get(t) != mine.get(t)]
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        yield f"{name}: {len(others)} of {len(rows)} tensors differ: {shown}"


def _sets(release: Published, step: str) -> dict[str, Weights]:
    """Return the digests of an artifact's tensors: as listed, or read from its weights."""
    files = release.files_of(step)
    start = release.folders[step]
    listed = next((f for f in release.manifest["files"] if f["path"] == start + TENSORS), None)
    path = release.folder / (start + TENSORS)
    if listed is not None and path.is_file():
        return _listed(path, str(listed["sha256"]))
    weights = [name for name in files if name.endswith(SUFFIXES)]
    if not release.complete or not all((release.folder / (start + n)).is_file() for n in weights):
        raise SourceError(
            f"{release.reference} lists no digests of tensors ({TENSORS}), and its weights are not "
            "on this machine",
            next="download it and give the folder",
        )
    return digest_weights(release.folder / start, weights)


def _listed(path: Path, sha256: str) -> dict[str, Weights]:
    try:
        text = read_text(path, most=_LARGEST)
        if hashlib.sha256(text.encode()).hexdigest() != sha256:
            raise ValueError("it is not the file that the manifest lists")
        data = parse_json(text, strict=True)
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        return weights_from_json(data["weights"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise IntegrityError(
            f"{path.name} is damaged: {error}",
            owner=str(path),
            safe="nothing was changed",
            next="download it again, or give the folder with the weights",
        ) from error


def _reasons(
    original: Published, rebuilt: Published, then: Mapping[str, Any], now: Mapping[str, Any]
) -> Iterator[str]:
    """Say what is known to be otherwise than when the release was made."""
    told: dict[str, None] = {}
    for step_id in original.chain(str(then["step"])):
        before, after = original.step(step_id), rebuilt.step(step_id)
        if not after:
            continue
        told |= dict.fromkeys(_of_versions(before, after))
        told |= dict.fromkeys(_of_settings(before, after))
    yield from told
    theirs, ours = _facts(then["metadata"]), _facts(now["metadata"])
    for key in sorted(theirs.keys() | ours.keys()):
        if theirs.get(key) != ours.get(key):
            yield f"{key}: {ours.get(key)} here, {theirs.get(key)} then"
            if key == _THREADS and theirs.get(key):
                yield f"OMP_NUM_THREADS={theirs[key]} makes the number of threads the same"
    if _CALIBRATED.search(f"{then['kind']} {_chosen(original.step(str(then['step'])))}"):
        yield (
            "it is computed from a text, whose sums depend on the number of threads and on the "
            "processor"
        )


def _facts(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the simple values of some metadata, and those one level below."""
    flat: dict[str, Any] = {}
    for key, value in metadata.items():
        inside = value.items() if isinstance(value, dict) else ()
        flat |= {f"{key}.{name}": part for name, part in inside} or {key: value}
    return {key: value for key, value in flat.items() if not isinstance(value, (dict, list))}


def _of_versions(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if then["version"] != now["version"]:
        yield f"{then['distribution']} {now['version']} here, {then['version']} then"
    before, after = then.get("environment"), now.get("environment")
    if before is None or after is None:
        yield "the release does not say with which libraries it was made"
        return
    flat_before, flat_after = (
        {**{n: e[n] for n in _ROOT}, **e["libraries"]} for e in (before, after)
    )
    for name in sorted(flat_before.keys() | flat_after.keys()):
        if flat_before.get(name) != flat_after.get(name):
            yield f"{name} {flat_after.get(name, 'not')} here, {flat_before.get(name, 'not')} then"


def _of_settings(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(then["settings"].keys() | now["settings"].keys()):
        before, after = (step["settings"].get(name) for step in (then, now))
        if before != after:
            yield f"setting {then['plugin']}.{name}: {after!r} here, {before!r} then"


def _chosen(step: Mapping[str, Any]) -> str:
    return " ".join(n for n, v in step.get("settings", {}).items() if v and v != "builtin")
