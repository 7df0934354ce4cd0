"""``dir:PATH``: copy the release's files to a folder, digest by digest."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from uploader_core.artifact import Receipt, UploadFile
from uploader_core.context import PlanContext, StepContext, VerifyContext
from uploader_core.errors import IntegrityError, RefusedError
from uploader_core.files import (
    CHUNK,
    PARTIAL,
    HashingWriter,
    child,
    create,
    hash_file,
    translate_os_error,
)
from uploader_core.manifest import NAME
from uploader_core.specs import Estimate, Finding
from uploader_core.verify import Verification, verify_folder

CLAIM = NAME + PARTIAL
"""Stands in the target from before the first file until the manifest, the last one: by it a copy
that was interrupted is known as ours."""


def check(context: PlanContext) -> Iterable[Finding]:
    """Refuse a target that cannot be written or holds something else."""
    target = _target(context.target)
    if target == context.output or context.output in target.parents:
        raise RefusedError(
            f"dir:{target} lies inside the release folder {context.output}",
            next="choose a folder elsewhere, or leave --to out: the release folder is the result",
        )
    ours = any((target / name).is_file() for name in (NAME, CLAIM))
    if target.is_dir() and any(target.iterdir()) and not ours:
        raise RefusedError(
            f"{target} is not empty and holds no {NAME}",
            owner="whoever put files there",
            safe="nothing in it was touched",
            next="choose a new folder",
        )
    existing = next(p for p in (target, *target.parents) if p.exists())
    if not os.access(existing, os.W_OK):
        raise RefusedError(f"{existing} cannot be written", next="choose another folder")
    return ()


def estimate(context: PlanContext) -> Estimate:
    """Count what is not there yet, and the largest file that may have to be written beside."""
    target = _target(context.target)
    fresh = beside = total = 0
    for artifact in context.inputs:
        for name, size in context.names.get(artifact.kind, ()):
            total += size
            there = _size(target / artifact.kind / name)
            if there is None:
                fresh += size
            else:
                fresh += max(0, size - there)
                beside = max(beside, size)
        unnamed = context.sizes.get(artifact.kind, 0) - sum(
            size for _, size in context.names.get(artifact.kind, ())
        )
        fresh += max(0, unnamed)
        total += max(0, unnamed)
    return Estimate(bytes_sent=total, elsewhere=((str(target), fresh + beside),))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _target(text: str | None) -> Path:
    return Path(text or "").expanduser().absolute()


def _claim(target: Path) -> None:
    claim = target / CLAIM
    try:
        target.mkdir(parents=True, exist_ok=True)
        claim.touch()
    except OSError as error:
        raise translate_os_error(error, claim) from error


def _compare(file: UploadFile, writer: HashingWriter) -> None:
    if writer.sha256 != file.sha256:
        raise IntegrityError(
            f"{file.path} changed since it was recorded",
            safe="the copy at the destination was not changed",
            next="run the same command again; the file will be made anew",
        )


def upload(context: StepContext) -> Receipt:
    """Copy what differs, then read everything back."""
    target = _target(context.target)
    total = sum(file.size for file in context.files)
    sent = done = 0
    _claim(target)
    for file in context.files:
        path = child(target, file.name)
        if not (path.is_file() and hash_file(path) == (file.size, file.sha256)):
            compare = partial(_compare, file)
            with create(path, before_commit=compare) as writer, file.path.open("rb") as source:
                while block := source.read(CHUNK):
                    writer.write(block)
                    context.progress("copying", done + writer.size, total)
            sent += file.size
        done += file.size
        context.progress("copying", done, total)
    (target / CLAIM).unlink(missing_ok=True)  # of a target that had this manifest already
    for file in context.files:
        if hash_file(child(target, file.name)) != (file.size, file.sha256):
            raise IntegrityError(
                f"{file.name} is not what was written to {target}",
                owner=f"the disk under {target}",
                next="check the disk, then run the same command again",
            )
    return context.receipt(
        url=target.as_uri(), private=None, files=len(context.files), bytes_sent=sent
    )


def verify(context: VerifyContext) -> Verification:
    """Compare a copy with the manifest in it."""
    return verify_folder(Path(context.target).expanduser(), full=context.full)
