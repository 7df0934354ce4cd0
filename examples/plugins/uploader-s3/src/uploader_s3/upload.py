"""The upload: what is missing is sent, documents last, then everything is listed and proven.

What only an earlier release had is removed before the manifest, the last file, forgets it.
"""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import (
    IntegrityError,
    Leftovers,
    Receipt,
    StepContext,
    UploadFile,
    find_leftovers,
    hash_file,
    note_kept,
    refuse_secrets,
)
from uploader_s3.store import Store

MANIFEST = "upload_manifest.json"


def upload(context: StepContext) -> Receipt:
    """Make the folder of the bucket hold every file, and prove it."""
    bucket, _, prefix = (context.target or "").partition("/")
    settings = context.settings
    refuse_secrets(context.files, "--s3-allow-secret", allowed=settings.allow_secret)
    store = Store(bucket, region=settings.region, part_size=settings.part_size)
    prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
    there = store.sizes(prefix)
    left = _leftovers(context, store, prefix, there)
    files = context.files
    if settings.foreign == "refuse":
        left.refuse(f"s3:{context.target}", "--s3-foreign")
    if settings.foreign == "keep":
        files = note_kept(files, left.foreign, context.work)
    gone = (*left.earlier, *(left.foreign if settings.foreign == "remove" else ()))
    total, done, bytes_sent = sum(file.size for file in files), 0, 0
    order = sorted(files, key=lambda f: (f.name == MANIFEST, f.role == "document"))
    for file in order:
        if file.name == MANIFEST:
            store.remove(prefix + name for name in gone)
        key = prefix + file.name
        if hash_file(file.path) != (file.size, file.sha256):
            raise IntegrityError(
                f"{file.path.name} changed since it was recorded",
                owner=str(file.path),
                safe="it was not sent",
                next="run the same command again; the file will be made anew",
            )
        if there.get(key) == file.size and _is_there(store, key, file, settings.verify):
            done += file.size
            continue

        def sent(size: int) -> None:
            nonlocal done, bytes_sent
            done, bytes_sent = done + size, bytes_sent + size
            context.progress("sending", done, total)

        store.put(file.path, key, sent)
    there = store.sizes(prefix)
    for file in files:
        key = prefix + file.name
        if there.get(key) != file.size or not _is_there(store, key, file, settings.verify):
            raise IntegrityError(
                f"{file.name} is not in {bucket} as it was sent",
                owner=f"s3:{bucket}",
                next="run the same command again; it will be sent anew",
            )
    return context.receipt(url=f"s3://{bucket}/{prefix}", files=len(files), bytes_sent=bytes_sent)


def _leftovers(context: StepContext, store: Store, prefix: str, there: Iterable[str]) -> Leftovers:
    names = {key.removeprefix(prefix) for key in there}
    return find_leftovers(
        names,
        [file.name for file in context.files],
        context.loads,
        kinds=[artifact.kind for artifact in context.inputs],
        manifest=store.read(prefix + MANIFEST) if MANIFEST in names else None,
        place=f"s3:{context.target}",
    )


def _is_there(store: Store, key: str, file: UploadFile, how: str) -> bool:
    kept = store.checksum(key) if how == "checksum" else None
    if kept is None:  # a store without checksums, or an object that another tool put there
        return store.digest(key) == file.sha256
    return kept == store.expected(file.path)
