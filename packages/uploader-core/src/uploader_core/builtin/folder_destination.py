"""``dir:PATH``: copy the release's files to a folder, digest by digest.

A release replaces the one that is there. A journal with the names of both is written before the
first file and removed when everything was read back, so whatever a kill leaves is known as ours:
new files, then the removal of the earlier ones, then the new manifest.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

from uploader_core.artifact import Receipt, UploadFile
from uploader_core.contract.context import ArrivalContext, PlanContext, VerifyContext
from uploader_core.contract.costs import Estimate
from uploader_core.contract.specs import Finding
from uploader_core.contract.step_context import StepContext
from uploader_core.destinations.leftovers import Leftovers, find_leftovers, note_kept
from uploader_core.destinations.verification import Verification
from uploader_core.destinations.verify import verify_folder
from uploader_core.disk.safe_write import (
    CHUNK,
    PARTIAL,
    HashingWriter,
    child,
    create,
    hash_file,
    write_json,
)
from uploader_core.errors import IntegrityError, RefusedError, UploaderError
from uploader_core.home import from_home
from uploader_core.machine.file_calls import sync_folder
from uploader_core.machine.os_errors import translate_os_error
from uploader_core.manifest_file import NAME, files_in
from uploader_core.untrusted_json import parse_json

JOURNAL = NAME + ".journal" + PARTIAL
"""Names of the files that a copy puts into the target or takes out of it, while it does."""

_OURS = (NAME, JOURNAL, JOURNAL + PARTIAL, NAME + PARTIAL)
"""By one of these a folder is known as a copy of ours, also one that was interrupted."""

_OPTION = "--dir-foreign"

_MANIFEST = "manifest_sha256"
"""In the receipt: which release was brought."""


def check(context: PlanContext) -> Iterator[Finding]:
    """Refuse a target that cannot be written or holds something else; say what is replaced."""
    target = _target(context.target)
    if target == context.output or context.output in target.parents:
        raise RefusedError(
            f"dir:{target} lies inside the release folder {context.output}",
            next="choose a folder elsewhere, or leave --to out: the release folder is the result",
        )
    ours = any((target / name).is_file() for name in _OURS)
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
    kinds = [artifact.kind for artifact in context.inputs]
    left = _leftovers(target, context.files, context.loads, kinds, documents=False)
    yield from left.findings(str(target), _OPTION, context.settings.foreign)


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
    """Return the folder that a target names, by its path or by ``file:///path``.

    Raises:
        RefusedError: It is the address of something else.
    """
    text = text or ""
    scheme, _, rest = text.partition("://")
    if scheme == "file":
        return Path(url2pathname(rest.removeprefix("localhost"))).absolute()
    if re.fullmatch(r"[a-z][a-z0-9+.-]+", scheme) and scheme != text:
        extra = {"s3": "[s3]", "gs": "[gcs]", "gcs": "[gcs]"}.get(scheme, "")
        raise RefusedError(
            f"dir:{text} is no folder of this machine",
            owner=f"nothing installed writes to {scheme}://",
            safe="nothing was written",
            next=f'pip install "uploader-fsspec{extra}"',
        )
    return from_home(text).absolute()


def _leftovers(
    target: Path, files: Iterable[str], loads: Iterable[str], kinds: Iterable[str], **more: Any
) -> Leftovers:
    """Compare what is in the target with what comes.

    Raises:
        RefusedError: The manifest there cannot be read.
    """
    manifest = target / NAME
    return find_leftovers(
        files_in(target),
        files,
        tuple(loads),
        kinds=kinds,
        manifest=manifest.read_bytes() if manifest.is_file() else None,
        place=str(target),
        journal=_journal(target),
        **more,
    )


def _journal(target: Path) -> list[str]:
    """Return the names that an interrupted copy wrote down; none where there is no journal."""
    try:
        names = parse_json((target / JOURNAL).read_text("utf-8"))["files"]
        for name in names:
            child(target, name)
    except (OSError, ValueError, KeyError, TypeError, IntegrityError):
        return []  # no run of ours writes such a one
    return [str(name) for name in names]


def _begin(target: Path, names: Iterable[str]) -> None:
    """Write down which names are ours, those of an earlier attempt among them."""
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise translate_os_error(error, target) from error
    write_json(target / JOURNAL, {"files": [*sorted({*names, *_journal(target)})]})


def _remove(target: Path, names: Iterable[str]) -> None:
    """Remove files and the folders that they leave empty; nothing outside the target."""
    root = target.resolve()
    for name in names:
        path = child(target, name)
        # A folder may be a link by now, and what is behind it is nobody's release.
        if not path.parent.resolve().is_relative_to(root):
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise translate_os_error(error, path) from error
        for folder in path.parents:
            if folder == target:
                break
            with contextlib.suppress(OSError):  # not empty, or not there
                folder.rmdir()


def _compare(file: UploadFile, writer: HashingWriter) -> None:
    if writer.sha256 != file.sha256:
        raise IntegrityError(
            f"{file.path} changed since it was recorded",
            safe="the copy at the destination was not changed",
            next="run the same command again; the file will be made again",
        )


class _Copy:
    """Copies files to a target, those that differ."""

    def __init__(self, context: StepContext, target: Path, total: int) -> None:
        self._context = context
        self._target = target
        self._total = total
        self._done = 0
        self.sent = 0

    def __call__(self, file: UploadFile) -> None:
        path = child(self._target, file.name)
        if not (path.is_file() and hash_file(path) == (file.size, file.sha256)):
            compare = partial(_compare, file)
            with create(path, before_commit=compare) as writer, file.path.open("rb") as source:
                while block := source.read(CHUNK):
                    writer.write(block)
                    self._context.progress("copying", self._done + writer.size, self._total)
            self.sent += file.size
        self._done += file.size
        self._context.progress("copying", self._done, self._total)


def upload(context: StepContext) -> Receipt:
    """Copy what differs, remove what only the earlier release had, then read everything back."""
    target = _target(context.target)
    names = [file.name for file in context.files]
    kinds = [artifact.kind for artifact in context.inputs]
    left = _leftovers(target, names, context.loads, kinds)
    if context.settings.foreign == "refuse":
        left.refuse(str(target), _OPTION)
    files = context.files
    if context.settings.foreign == "keep":
        files = note_kept(files, left.foreign, context.work)
    gone = {*left.earlier, *(left.foreign if context.settings.foreign == "remove" else ())}
    _begin(target, {*names, *gone})
    manifest = [file for file in files if file.name == NAME]
    copy = _Copy(context, target, sum(file.size for file in files))
    # Whoever finds a document there finds what it is about.
    for file in sorted(files, key=lambda file: file.role == "document"):
        if file.name != NAME:
            copy(file)
    # Before the manifest forgets them. Of a copy that was killed, half a file may be there.
    _remove(target, sorted({*gone, *(name + PARTIAL for name in _journal(target))}))
    for file in manifest:
        copy(file)
    for file in files:
        if hash_file(child(target, file.name)) != (file.size, file.sha256):
            raise IntegrityError(
                f"{file.name} is not what was written to {target}",
                owner=f"the disk under {target}",
                next="check the disk, then run the same command again",
            )
    (target / JOURNAL).unlink(missing_ok=True)
    sync_folder(target)
    return context.receipt(
        url=target.as_uri(),
        private=None,
        files=len(files),
        bytes_sent=copy.sent,
        metadata={_MANIFEST: hash_file(target / NAME)[1] if manifest else None},
    )


def still_there(context: ArrivalContext) -> bool:
    """Tell whether the manifest is the one that was brought, and its files have their sizes."""
    target = _target(context.target)
    brought = context.receipt.metadata.get(_MANIFEST)
    try:
        same = brought is not None and hash_file(target / NAME)[1] == brought
        return same and not verify_folder(target, full=False).problems
    except (OSError, UploaderError):
        return False


def verify(context: VerifyContext) -> Verification:
    """Compare a copy with the manifest in it."""
    return verify_folder(_target(context.target), full=context.full)
