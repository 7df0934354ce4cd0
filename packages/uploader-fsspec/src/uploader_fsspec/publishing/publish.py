"""The upload: what is missing is sent, the manifest last, then everything is listed and proven."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from uploader_core.plugin import (
    CleanUpContext,
    IntegrityError,
    Receipt,
    RefusedError,
    StepContext,
    UploadFile,
    note_kept,
    refuse_secrets,
)
from uploader_fsspec.publishing.place import ALLOW, FOREIGN, JOURNAL, MANIFEST, begin, leftovers
from uploader_fsspec.store.errors import AGAIN
from uploader_fsspec.store.opening import open_store
from uploader_fsspec.store.store import Entry, Store

MANIFEST_DIGEST = "manifest_sha256"
"""In the receipt: which release was brought."""


def upload(context: StepContext) -> Receipt:
    """Make the folder of the store hold every file, and nothing of an earlier release.

    Raises:
        IntegrityError: A file changed, or is not there as it was sent.
        UploaderError: What the store refuses, or the network.
    """
    settings = context.settings
    refuse_secrets(context.files, ALLOW, allowed=settings.allow_secret)
    store = open_store(context.target or "", RefusedError, part_size=int(settings.part_size))
    there = store.list_all()
    kinds = [artifact.kind for artifact in context.inputs]
    left = leftovers(store, there, [f.name for f in context.files], context.loads, kinds=kinds)
    if settings.foreign == "refuse":
        left.refuse(str(store.address), FOREIGN)
    files = context.files
    if settings.foreign == "keep":
        files = note_kept(files, left.foreign, context.work)
    gone = {*left.earlier, *(left.foreign if settings.foreign == "remove" else ())}
    sending = _Sending(context, store, files)
    missing = sending.missing(there)
    if missing or gone or JOURNAL in there:
        begin(store, there, {*(file.name for file in files), *gone})
        manifest = [file for file in files if file.name == MANIFEST]
        others = [file for file in missing if file.name != MANIFEST]
        # Whoever finds a document there finds what it is about.
        for file in sorted(others, key=lambda file: file.role == "document"):
            sending.send(file)
        store.remove(sorted(gone))
        for file in manifest:
            # The manifest says that everything is there, so everything is asked for before.
            sending.compare([other for other in files if other is not file])
            sending.send(file)
        store.remove([JOURNAL])
    sending.compare(files)
    return context.receipt(
        url=str(store.address),
        private=_inverse(store.is_public()),
        files=len(files),
        bytes_sent=sending.sent,
        metadata={MANIFEST_DIGEST: _manifest_digest(files)},
    )


class _Sending:
    """Compares and sends files, and reports it."""

    def __init__(self, context: StepContext, store: Store, files: tuple[UploadFile, ...]) -> None:
        self._context = context
        self._store = store
        self._read = context.settings.verify == "read"
        self._total = sum(file.size for file in files)
        self._done = 0
        self._proven: dict[str, Entry] = {}
        self._files = files
        self.sent = 0

    def missing(self, there: Mapping[str, Entry]) -> list[UploadFile]:
        """Return the files that are not there as they were recorded."""
        found = [file for file in self._files if not self._is_there(file, there)]
        self._done = self._total - sum(file.size for file in found)
        return found

    def send(self, file: UploadFile) -> None:
        """Send one file."""

        def tell(size: int) -> None:
            self._done += size
            self.sent += size
            self._context.progress(f"sending: {file.name}", self._done, self._total)

        self._store.put(file.name, file, tell)

    def compare(self, files: list[UploadFile] | tuple[UploadFile, ...]) -> None:
        """List the folder again and compare every file.

        Raises:
            IntegrityError: One is not there as it was sent.
        """
        there = self._store.list_all()
        for file in files:
            if not self._is_there(file, there):
                raise IntegrityError(
                    f"{file.name} is not in {self._store.address} as it was sent",
                    owner=str(self._store.address),
                    next=AGAIN,
                )

    def _is_there(self, file: UploadFile, there: Mapping[str, Entry]) -> bool:
        entry = there.get(file.name)
        if entry is None:
            return False
        if self._proven.get(file.name) == entry:  # the same object as when it was compared
            return True
        self._context.progress("comparing", self._done, self._total)
        if not self._store.holds(file.name, file, entry, read=self._read):
            return False
        self._proven[file.name] = entry
        return True


def clean_up(context: CleanUpContext) -> bool:
    """Give up uploads in parts that nobody will complete."""
    open_store(context.target, RefusedError).give_up_uploads()
    return True


def _manifest_digest(files: tuple[UploadFile, ...]) -> str | None:
    for file in files:
        if file.name == MANIFEST:
            return hashlib.sha256(file.path.read_bytes()).hexdigest()
    return None


def _inverse(public: bool | None) -> bool | None:
    return None if public is None else not public
