"""The load proof of a checkpoint, from memory or from transformers, as findings of a plan."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator

from uploader_core.plugin import Finding, PlanContext
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.load_proof.memory import recall, remember
from uploader_merged.load_proof.subject import Outcome, Subject, describe
from uploader_merged.load_proof.tokenizer import prove_tokenizer
from uploader_merged.load_proof.verdict import judge

_NEEDED = {"transformers": (4, 57), "accelerate": (1, 1), "torch": (2, 4)}
"""Packages and the oldest version of each that the proof is tested with."""


def prove(context: PlanContext) -> Iterator[Finding]:
    """Prove that what will be made of a checkpoint loads; for the specs that consume one.

    Raises:
        SourceError: The checkpoint cannot be opened.
    """
    yield from prove_checkpoint(open_checkpoint(context.input("checkpoint")))


def prove_checkpoint(checkpoint: Checkpoint) -> Iterator[Finding]:
    """Yield what loading a checkpoint would come to; nothing for one that loads, complete.

    Args:
        checkpoint: Opened; its weights are not read.
    """
    if checkpoint.base.unwrapped:
        yield Finding(
            level="note",
            what="the tensors are written under the model's own names, without "
            + ", ".join(checkpoint.base.unwrapped),
        )
    subject = describe(checkpoint)
    outcome = outcome_of(subject)
    yield from judge(outcome, subject, checkpoint.base.folder)
    if outcome.unproved is None:
        yield from prove_tokenizer(checkpoint, _versions())


def outcome_of(subject: Subject) -> Outcome:
    """Return what loading a subject comes to, remembered or found out now."""
    versions = _versions()
    lacking = [
        f"{name} {version} is older than {'.'.join(map(str, oldest))}"
        if version
        else f"{name} is not installed"
        for name, oldest in _NEEDED.items()
        if _numbers(version := versions[name]) < oldest
    ]
    if lacking:
        return Outcome(loader="transformers", lasting=False, unproved=" and ".join(lacking))
    digest = subject.digest(versions)
    outcome = recall(digest)
    if outcome is None:
        # Takes seconds: torch and transformers are imported here.
        from uploader_merged.load_proof.loading import load

        outcome = load(subject)
        remember(digest, outcome)
    return outcome


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in _NEEDED}


def _version(name: str) -> str:
    """Return the installed version of a package, "" where it cannot be imported."""
    if importlib.util.find_spec(name) is None:
        return ""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
