"""Bytes first, then one commit, exactly one, whatever the answers were.

Nothing is visible before the commit. Each commit names the one that it goes onto, so a request that
was thought lost and arrives late cannot become a second one; what is listed decides, not what was
answered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from uploader_core.plugin import IntegrityError, StepContext, UploadFile
from uploader_hf.hub.errors import is_passing, translate
from uploader_hf.hub.login import outlived
from uploader_hf.hub.objects import is_stored, refused_object
from uploader_hf.hub.patience import ATTEMPTS, Patience
from uploader_hf.hub.remote import differing, list_remote
from uploader_hf.hub.transport import uses_xet
from uploader_hf.publishing.replaced import OPTION, Coming, find_replaced
from uploader_hf.publishing.repository import Place
from uploader_hf.publishing.stream import CountingFile, Progress
from uploader_hf.publishing.xet_progress import told

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

CARD = "README.md"

_SAMPLE = 512
"""Bytes of a file by which the Hub decides how it wants it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What it took.

    Attributes:
        files: Number of files that were not there as they are here.
        size: Bytes that were read to be sent, those of every attempt. Through Xet, which packs and
            leaves out what is there, those that went over the network.
        again: Those of them that were sent more than once; 0 through Xet, which does not say.
    """

    files: int = 0
    size: int = 0
    again: int = 0


def send(context: StepContext, api: HfApi, patience: Patience, place: Place) -> Sent:
    """Bring ``context.files`` to a branch in one commit.

    Raises:
        UploaderError: It was refused, or it failed too often.
        IntegrityError: A file is no longer what its record says; nothing was committed.
    """
    repo_id, revision = place.repo_id, place.revision
    missing: list[UploadFile] = []
    with contextlib.ExitStack() as streams:
        operations: dict[str, CommitOperationAdd] = {}
        progress: Progress | None = None
        for attempt in range(1, ATTEMPTS + 2):
            head = _head(api, patience, repo_id, revision)
            remote = list_remote(api, patience, repo_id, head, [f.name for f in context.files])
            still = differing(
                context.files,
                remote,
                lambda done, total: context.progress(
                    f"comparing with {repo_id}", done, total, "files"
                ),
            )
            gone = _gone(context, api, patience, place, head)
            if not still and not gone:
                break
            if progress is None:
                missing = sorted(still, key=lambda f: (f.role == "document", f.name))
                progress = Progress(context, sum(f.size for f in missing))
                operations = dict(_operations(missing, progress, streams))
            try:
                progress.phase = "sending"
                chosen = [operations[f.name] for f in missing if f.name in operations]
                names = {str(f.path): f.name for f in missing}
                with told(progress.through_xet(names)) if uses_xet() else contextlib.nullcontext():
                    _transfer(context, api, place, chosen, {f.name: f for f in missing})
                progress.phase = f"committing to {repo_id}"
                context.progress(progress.phase, 0, None, "steps")
                progress.count(sum(f.size for f in missing if f.name == CARD))
                api.create_commit(
                    repo_id,
                    operations=[*chosen, *(_deletion(name) for name in gone)],
                    commit_message=context.settings.message,
                    revision=revision,
                    parent_commit=head,
                )
                break
            except Exception as error:
                failed = operations.get(refused_object(error) or "")
                if attempt <= ATTEMPTS and failed is not None:
                    if is_stored(api, patience, repo_id, revision, failed):
                        continue
                elif attempt <= ATTEMPTS and (is_passing(error) or outlived(error)):
                    patience.wait(error, attempt)
                    continue
                raise translate(error, f"sending to {repo_id}", repo=repo_id) from None
        if progress is None:
            return Sent()
        if uses_xet():
            return Sent(files=len(missing), size=progress.sent)
        return Sent(files=len(missing), size=progress.sent, again=progress.sent - progress.done)


def _gone(
    context: StepContext, api: HfApi, patience: Patience, place: Place, head: str
) -> tuple[str, ...]:
    """Return the files that the commit onto ``head`` takes away.

    Raises:
        RefusedError: A file appeared meanwhile that would be loaded in place of the release.
    """
    left = find_replaced(api, patience, place.repo_id, head, Coming.of_step(context))
    if context.settings.foreign == "refuse":
        left.refuse(place.repo_id, OPTION)
    return (*left.earlier, *(left.foreign if context.settings.foreign == "remove" else ()))


def _deletion(name: str) -> CommitOperationDelete:
    from huggingface_hub import CommitOperationDelete

    return CommitOperationDelete(path_in_repo=name, is_folder=False)


def _head(api: HfApi, patience: Patience, repo_id: str, revision: str) -> str:
    info = patience.call(
        f"reading the head of {repo_id}", lambda: api.repo_info(repo_id, revision=revision)
    )
    return str(info.sha)


def _operations(
    files: list[UploadFile], progress: Progress, streams: contextlib.ExitStack
) -> Iterator[tuple[str, CommitOperationAdd]]:
    """Describe files to the client with what is known of them, so that it does not hash them."""
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.lfs import UploadInfo

    for file in files:
        if uses_xet() or file.name == CARD:
            # Xet takes paths only. It hashes while it reads; that is compared before the commit.
            # The card the client itself reads more than once.
            yield file.name, CommitOperationAdd(file.name, str(file.path))
            continue
        operation = CommitOperationAdd(file.name, b"")
        with file.path.open("rb") as handle:
            sample = handle.read(_SAMPLE)
        operation.upload_info = UploadInfo(
            size=file.size, sample=sample, sha256=bytes.fromhex(file.sha256)
        )
        operation.path_or_fileobj = streams.enter_context(CountingFile(file, progress))
        yield file.name, operation


def _transfer(
    context: StepContext,
    api: HfApi,
    place: Place,
    operations: list[CommitOperationAdd],
    files: Mapping[str, UploadFile],
) -> None:
    """Send what is large; the rest is in the commit itself.

    Raises:
        IntegrityError: What was read is not what the record says.
    """
    context.progress(f"asking {place.repo_id} what it wants", 0, None, "steps")
    for operation in operations:
        if isinstance(operation.path_or_fileobj, CountingFile):
            # Where a transfer failed the client leaves the stream where it stopped reading.
            operation.path_or_fileobj.seek(0)
    # The client looks up what to send by digest: two files of one content would be read from one
    # stream at the same time. The second time around their object is there already.
    unique = {files[o.path_in_repo].sha256: o for o in operations}.values()
    again = [o for o in operations if all(o is not other for other in unique)]
    for some in ([*unique], again):
        if some:
            api.preupload_lfs_files(place.repo_id, some, revision=place.revision, free_memory=False)
    for operation in operations:
        file = files[operation.path_in_repo]
        found = _digest(operation)
        if found is not None and found != file.sha256:
            raise IntegrityError(
                f"{file.path} is no longer what its record says",
                owner=str(file.path),
                safe="nothing visible was changed",
                next="run the same command again; the file will be made again",
            )


def _digest(operation: CommitOperationAdd) -> str | None:
    """Return the digest of what was really read, None when nothing had to be."""
    source: Any = operation.path_or_fileobj
    if isinstance(source, CountingFile):
        return source.sha256 if source.sent else None
    info = operation.upload_info
    known = getattr(info, "is_hashed", True)
    return info.sha256.hex() if known else None
