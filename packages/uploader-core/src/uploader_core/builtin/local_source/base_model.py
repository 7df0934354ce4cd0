"""The base model under an adapter: which one, at which revision, and where it is.

A trainer writes down a name or a path, and often the revision that it loaded. Both count: the main
branch of a repository moves on, and an adapter that is merged into other weights of the same shapes
is wrong without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from uploader_core.artifact import Artifact
from uploader_core.builtin.local_source.claims import COMMIT, CONFIG, Claim, same_name
from uploader_core.builtin.local_source.folder_files import list_files
from uploader_core.builtin.local_source.unusable_folders import (
    refuse_unusable,
    refuse_unusable_copy,
)
from uploader_core.contract.context import FetchedSource
from uploader_core.contract.sources import Fetch, Identify, is_local
from uploader_core.contract.specs import Finding
from uploader_core.errors import SourceError
from uploader_core.home import from_home

_MOVING = {"main", "master"}
"""Branches that pin nothing: everybody gets them who asks for no revision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base model that was found.

    Attributes:
        artifact: Of the kind ``base``.
        fetched: What a source plugin said of it; None for a folder of this machine.
        revision: Its commit, when known.
        pinned: Whether an adapter or the user asked for a revision.
        findings: What the user should know about the revision.
    """

    artifact: Artifact
    fetched: FetchedSource | None = None
    revision: str | None = None
    pinned: bool = False
    findings: tuple[Finding, ...] = ()


def find_base(
    claims: Sequence[Claim], said: str | None, fetch: Fetch, identify: Identify = lambda _: None
) -> Base:
    """Find the base model of one adapter, or of several that are merged into the same.

    Args:
        claims: Of the adapters, in order; the first names the base where the user does not.
        said: What the user named, a path or ``name`` or ``name@revision``.
        fetch: Asks the source plugins for a name.
        identify: Asks them what a folder is a copy of.

    Raises:
        SourceError: Nothing names it, it is not there, or not at that revision.
    """
    name = said or claims[0].name
    if name is None:
        raise SourceError(
            f"the adapter in {claims[0].folder} does not say which base model it was trained on",
            owner=f"{claims[0].folder / CONFIG}: base_model_name_or_path is empty",
            safe="nothing was written",
            next="add --base PATH_OR_ID",
        )
    path = _local_base(name, claims[0].folder, said is not None)
    if path is not None:
        refuse_unusable(path)
        return _local(path, claims, said, identify)
    if is_local(name):
        _not_found(name, name, claims[0])
    return _fetched(name, claims, said, fetch)


def _fetched(name: str, claims: Sequence[Claim], said: str | None, fetch: Fetch) -> Base:
    model, _, asked = name.partition("@")
    pins = [c for c in claims if c.revision is not None and same_name(c.name, model)]
    if not asked:
        _refuse_contradiction(model, pins)
    revision = asked or (pins[0].revision if pins else None)
    reference = f"{model}@{revision}" if revision else model
    try:
        fetched = fetch(reference, "base")
        if fetched is None:
            _not_found(reference, name, claims[0])
        refuse_unusable_copy(fetched)
        if revision and COMMIT.fullmatch(revision) and fetched.revision not in (revision, None):
            raise SourceError(
                f"{reference} was asked for, and {fetched.revision} came",
                owner="the plugin that fetched it",
                safe="nothing was written",
                next="give a local folder with --base",
            )
    except SourceError as error:
        if asked or not pins:
            raise
        raise SourceError(
            error.what,
            owner=f"{pins[0].said_in}; {error.owner}",
            safe=error.safe,
            next=f"{error.next}; or name another revision: --base {model}@REVISION",
        ) from error
    return Base(
        artifact=_artifact(fetched.path.resolve(), fetched.model_id, fetched.revision),
        fetched=fetched,
        revision=fetched.revision,
        pinned=revision is not None,
        findings=(
            *_other_revision(reference, (asked, fetched.revision), pins),
            *_other_model(model, [c for c in claims if c not in pins], said),
        ),
    )


def _local(path: Path, claims: Sequence[Claim], said: str | None, identify: Identify) -> Base:
    """Take a folder of this machine, and compare its commit with what the adapters name."""
    pins = [c for c in claims if c.revision is not None and c.revision not in _MOVING]
    if said is None:
        _refuse_contradiction(str(path), pins)
    copy = identify(path)
    commit = None if copy is None else copy.revision
    if copy is not None and copy.model_id:
        pins = [
            pin for pin in pins if is_local(pin.name or ".") or same_name(pin.name, copy.model_id)
        ]
    findings: list[Finding] = []
    for pin in pins:
        if pin.revision == commit:
            continue
        if commit is None or not COMMIT.fullmatch(pin.revision or ""):
            findings.append(_unchecked(path, pin))
            continue
        what = (
            f"the adapter was trained on commit {pin.revision} of its base model, and {path} is a "
            f"copy of {commit}"
        )
        if said is None:
            raise SourceError(
                what, owner=pin.said_in, safe="nothing was written", next=_take(pin, path)
            )
        findings.append(Finding(level="warning", what=what, next=_take(pin, path)))
    return Base(
        artifact=_artifact(path, public_name(claims[0].name, said), commit),
        revision=commit,
        pinned=any(pin.revision == commit for pin in pins),
        findings=tuple(findings),
    )


def _unchecked(path: Path, pin: Claim) -> Finding:
    return Finding(
        level="note",
        what=f"the adapter was trained on revision {pin.revision} of its base model "
        f"({pin.said_in}); the revision of {path} is unknown",
        next=None if is_local(pin.name or ".") else f"--base {pin.reference} takes that one",
    )


def _take(pin: Claim, path: Path) -> str:
    if is_local(pin.name or "."):
        return f"give that commit with --base, or --base {path} to take what is there"
    return f"--base {pin.reference} takes that one"


def _other_revision(
    reference: str, got: tuple[str, str | None], pins: Sequence[Claim]
) -> Iterator[Finding]:
    """Say where the user asked for another revision than an adapter names; the user's counts."""
    for pin in pins:
        if got[0] and pin.revision not in got:
            yield Finding(
                level="warning",
                what=f"the adapter was trained on {pin.reference} ({pin.said_in}), and is merged "
                f"into {reference}",
            )


def _other_model(model: str, claims: Sequence[Claim], said: str | None) -> Iterator[Finding]:
    for claim in claims:
        if said is not None and claim.revision is not None:
            yield Finding(
                level="note",
                what=f"{claim.said_in} is of {claim.name}, and says nothing of {model}",
            )
        elif said is None and claim.name is not None and not same_name(claim.name, model):
            yield Finding(
                level="warning",
                what=f"the adapter in {claim.folder} was trained on {claim.name}, and is merged "
                f"into {model}",
                next="--base NAME, where one base model is right for all of them",
            )


def _refuse_contradiction(model: str, pins: Sequence[Claim]) -> None:
    if len({pin.revision for pin in pins}) > 1:
        raise SourceError(
            f"the adapters were trained on different revisions of {model}: "
            + ", ".join(f"{pin.revision} ({pin.folder})" for pin in pins),
            owner="; ".join(pin.said_in for pin in pins),
            safe="nothing was written",
            next=f"name the one to merge them into: --base {pins[0].reference}",
        )


def _not_found(reference: str, name: str, claim: Claim) -> NoReturn:
    raise SourceError(
        f"the base model {reference} was not found here",
        owner=f"named by {claim.folder / CONFIG} or by --base",
        safe="nothing was written",
        next="add --base PATH with the folder that holds the base model"
        + ("" if is_local(name) else ", or pip install uploader-hf to fetch it by name"),
    )


def public_name(named: str | None, said: str | None) -> str | None:
    """Return the base's public name: the user's, or the adapter's, also for a local copy of it."""
    if said is not None and is_public(said):
        return said.partition("@")[0]
    return named if named and is_public(named) else None


def is_public(name: str) -> bool:
    """Tell a name on the Hub from a path, and from a name that begins with another scheme."""
    return not is_local(name) and ":" not in name.partition("@")[0]


def _artifact(path: Path, model_id: str | None, revision: str | None) -> Artifact:
    return Artifact(
        kind="base",
        path=path,
        files=list_files(path),
        metadata={"model_id": model_id, "revision": revision},
    )


def _local_base(name: str, adapter: Path, said: bool) -> Path | None:
    """Find a base model by its path, which a trainer wrote down as seen from where it ran.

    Args:
        name: Path, relative or not.
        adapter: Folder whose configuration names it.
        said: Whether the user named it, and so as seen from here.

    Raises:
        SourceError: A model is there as seen from here, and another as seen from the adapter.
    """
    places = [from_home(name, typed=said), *([] if said else [adapter / name])]
    folders = list(dict.fromkeys(place.resolve() for place in places if place.is_dir()))
    models = [folder for folder in folders if (folder / "config.json").is_file()]
    if len(models) > 1:
        raise SourceError(
            f"the base model {name} may be {models[0]} or {models[1]}",
            owner=f"named by {adapter / CONFIG}",
            safe="nothing was written",
            next=f"add --base {models[0]}, or the other",
        )
    return next(iter([*models, *folders]), None)
