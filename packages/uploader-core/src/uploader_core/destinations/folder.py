"""``dir:PATH``: copy the release's files to a folder, digest by digest."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from uploader_core.artifact import Receipt
from uploader_core.context import PlanContext, StepContext, VerifyContext
from uploader_core.errors import IntegrityError, RefusedError
from uploader_core.files import CHUNK, child, create, hash_file
from uploader_core.manifest import NAME
from uploader_core.specs import Finding
from uploader_core.verify import Verification, verify_folder


def check(context: PlanContext) -> Iterable[Finding]:
    """Refuse a target that cannot be written or holds something else."""
    target = Path(context.target or "").expanduser().absolute()
    if target == context.output or context.output in target.parents:
        raise RefusedError(
            f"dir:{target} lies inside the release folder {context.output}",
            next="choose a folder elsewhere, or leave --to out: the release folder is the result",
        )
    if target.is_dir() and any(target.iterdir()) and not (target / NAME).is_file():
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


def upload(context: StepContext) -> Receipt:
    """Copy what differs, then read everything back."""
    target = Path(context.target or "").expanduser().absolute()
    total = sum(file.size for file in context.files)
    sent = done = 0
    for file in context.files:
        path = child(target, file.name)
        if not (path.is_file() and hash_file(path) == (file.size, file.sha256)):
            with create(path) as writer, file.path.open("rb") as source:
                while block := source.read(CHUNK):
                    writer.write(block)
                    context.progress("copying", done + writer.size, total)
            if writer.sha256 != file.sha256:
                path.unlink()
                raise IntegrityError(
                    f"{file.path} changed since it was recorded",
                    next="run the same command again; the file will be made anew",
                )
            sent += file.size
        done += file.size
        context.progress("copying", done, total)
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
