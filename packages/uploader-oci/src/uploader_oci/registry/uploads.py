"""One blob to a registry: in pieces, from where it was, hashed while it is sent.

A session at the registry takes pieces (PATCH) and becomes a blob (PUT with the digest). Where
it is unknown what became of a request, the registry is asked how far the session is, or for the
blob.
docker-registry does not know a session any more once a piece broke off in its middle or the answer
to it was lost, see findings/docker_registry_forgets_a_broken_piece.sh; the blob begins anew then.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO
from urllib.parse import urlsplit

from uploader_core.plugin import CancelledError, IntegrityError
from uploader_oci.registry.answer import AGAIN, Answer
from uploader_oci.registry.blob import Blob
from uploader_oci.registry.journal import Journal, Session
from uploader_oci.registry.line import Lost
from uploader_oci.registry.sessions import begin, end_of, give_up, location_of, state_of
from uploader_oci.registry.transport import ATTEMPTS, Transport

PIECE = 256 << 10
"""Bytes read, hashed and handed to the socket at once."""

_OCTETS = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What it took to bring a blob there.

    Attributes:
        size: Bytes that went over the network for it.
        again: Those of them that had been sent before, by this attempt or an earlier one; at most
            a piece more than that where the attempt was killed.
        how: ``there`` already, ``mounted`` from another repository, or ``sent``.
    """

    size: int = 0
    again: int = 0
    how: str = "sent"


class BlobUpload:
    """Sends one blob into one repository.

    Args:
        transport: Of the registry.
        repository: Where to.
        blob: What.
        journal: Where a session is written down for the next attempt.
        exists: Asks whether the registry has the blob.
        tell: Is told how many bytes of it are there; it may raise to stop.
    """

    def __init__(
        self,
        transport: Transport,
        repository: str,
        blob: Blob,
        *,
        journal: Journal,
        exists: Callable[[], bool],
        tell: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._transport = transport
        self._repository = repository
        self._blob = blob
        self._journal = journal
        self._exists = exists
        self._tell = tell
        self._what = f"sending {blob.label}"
        self._chunk = transport.options.chunk or max(1, blob.size)
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._mark = (0, hashlib.sha256())
        self._size = self._again = 0
        self._confirmed = False
        self._stopped: CancelledError | None = None

    def run(self, location: str | None = None) -> Sent:
        """Send what is missing.

        Args:
            location: A session that was just begun, where a mount came to nothing.

        Raises:
            IntegrityError: The file is not what its digest says; nothing of it counts then.
            CancelledError: The user stopped it; the session is in the journal.
            UploaderError: What the registry refuses, or the network.
        """
        session = self._resumed() if location is None else self._noted(location, None)
        with self._blob.open() as file:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    session = session or self._noted(*self._begun())
                    self._send(session, file)
                    break
                except _Gone as gone:
                    # The registry does not know the session: from the beginning, unless the blob
                    # came to be all the same.
                    self._journal.drop(gone.session)
                    if self._exists():
                        break
                    self._again += gone.session.reached
                    session = None
                    if attempt == ATTEMPTS:
                        raise gone.lost from None
                    self._transport.pause(gone.lost, attempt)
        return Sent(size=self._size, again=min(self._again, self._size), how="sent")

    # -- inside --------------------------------------------------------------------------------

    def _begun(self) -> tuple[str, int | None]:
        return begin(self._transport, self._repository, self._what)

    def _noted(self, location: str, least: int | None) -> Session:
        """Write a new session down; ``least`` is what the registry wants of a piece."""
        if least is not None and self._chunk < self._blob.size:
            self._chunk = max(self._chunk, least)
        session = Session(
            host=self._transport.host,
            repository=self._repository,
            digest=self._blob.digest,
            location=location,
            begun=time.time(),
        )
        self._journal.save(session)
        return session

    def _resumed(self) -> Session | None:
        """Return the session of an earlier attempt, as far as the registry knows it."""
        session = self._journal.find(self._transport.host, self._repository, self._blob.digest)
        if session is None:
            return None
        known = state_of(self._transport, session)
        if known is None or known.offset > self._blob.size:
            self._journal.drop(session)
            self._again += session.reached
            return None
        self._again += max(0, session.reached - known.offset)
        return known

    def _send(self, session: Session, file: BinaryIO) -> None:
        """Bring a session to its end.

        Raises:
            _Gone: The registry does not know it any more.
        """
        failures = 0
        small = self._blob.size <= self._chunk and session.offset == 0
        while not small and session.offset < self._blob.size:
            end = min(self._blob.size, session.offset + self._chunk)
            before = self._transport.sent
            try:
                session = self._send_piece(session, file, end)
                self._confirmed, failures = True, 0
            except Lost as lost:
                self._confirmed = False
                reached = session.offset + self._transport.sent - before
                session = replace(session, reached=max(session.reached, reached))
                self._journal.save(session)
                failures += 1
                if failures == ATTEMPTS:
                    raise
                session = self._asked(session, lost, failures)
            finally:
                self._size += self._transport.sent - before
            self._journal.save(session)
            if self._stopped is not None:
                raise self._stopped
        self._hash_until(file, self._blob.size)
        self._compare(session)
        self._finish(session, file, whole=small)

    def _asked(self, session: Session, lost: Lost, failures: int) -> Session:
        """Wait, and ask how far a session is after a request of it was lost."""
        self._transport.pause(lost, failures)
        known = state_of(self._transport, session)
        if known is None:
            raise _Gone(session, lost) from None
        self._again += max(0, session.reached - known.offset)
        return known

    def _send_piece(self, session: Session, file: BinaryIO, end: int) -> Session:
        start = session.offset
        self._hash_until(file, start)
        self._mark = (start, self._digest.copy())
        # If this process is killed, the next one knows that as much as this may have been sent.
        self._journal.save(replace(session, reached=max(session.reached, end)))
        answer = self._transport.request(
            "PATCH", session.location, what=self._what, again=False, length=end - start,
            expect=(202, 204, 400, 404, 405, 416), body=lambda: self._read(file, start, end),
            headers={**_OCTETS, "Content-Range": f"{start}-{end - 1}"},
        )  # fmt: skip
        reached = max(session.reached, end)
        if answer.status not in (202, 204):
            if self._confirmed:
                # It took a piece and refuses the next: a registry that takes blobs in one piece.
                self._chunk = max(1, self._blob.size)
            raise _Gone(replace(session, reached=reached), self._lost(answer))
        location = location_of(answer, self._transport, session.location)
        last = end_of(answer)
        offset = end if last is None or not start <= last < end else last + 1
        return replace(session, location=location, offset=offset, reached=reached)

    def _compare(self, session: Session) -> None:
        """Refuse a file that is another than its digest says, before the registry counts it."""
        found = f"sha256:{self._digest.hexdigest()}"
        if found == self._blob.digest:
            return
        self.give_up(session)
        raise IntegrityError(
            f"{self._blob.label} changed since it was recorded: it is {found[:19]}..., expected "
            f"{self._blob.digest[:19]}...",
            owner=str(self._blob.path or self._blob.label),
            safe="the registry did not take it",
            next="run the same command again; the file will be made again",
        )

    def _finish(self, session: Session, file: BinaryIO, *, whole: bool) -> None:
        """Make a blob of a session; with the content where all of it fits into one request."""
        size = self._blob.size if whole else 0
        before = self._transport.sent
        for attempt in range(1, ATTEMPTS + 1):
            mark = "&" if urlsplit(session.location).query else "?"
            try:
                answer = self._transport.request(
                    "PUT", f"{session.location}{mark}digest={self._blob.digest}", what=self._what,
                    expect=(201, 204, 404), again=False, length=size, headers=_OCTETS,
                    body=(lambda: self._read(file, 0, size, hashed=True)) if size else None,
                )  # fmt: skip
                break
            except IntegrityError:
                # The line changed something. The session would be found again, with the same bytes.
                self.give_up(session)
                raise
            except Lost as lost:
                went = self._transport.sent - before
                session = replace(session, reached=max(session.reached, went))
                if self._exists():
                    self._journal.drop(session)
                    return
                if whole or attempt == ATTEMPTS:
                    raise _Gone(session, lost) from None
                session = self._asked(session, lost, attempt)
                if session.offset != self._blob.size:
                    raise _Gone(session, lost) from None
            finally:
                self._size += self._transport.sent - before
                before = self._transport.sent
        if answer.status == 404:
            reached = max(session.reached, size)
            raise _Gone(replace(session, reached=reached), self._lost(answer))
        told = answer.headers.get("docker-content-digest")
        if told and told != self._blob.digest:
            raise IntegrityError(
                f"the registry says that {self._blob.label} is {told}, not {self._blob.digest}",
                owner=self._transport.host,
                next="run the same command again",
            )
        self._journal.drop(session)
        self._tell(self._blob.size)

    def _lost(self, answer: Answer) -> Lost:
        return Lost(f"{self._what} failed: {answer.said}", owner=self._transport.host,
                    safe="files that arrived are kept", next=AGAIN)  # fmt: skip

    def give_up(self, session: Session) -> None:
        """End a session at the registry, as far as it knows it."""
        give_up(self._transport, session)
        self._journal.drop(session)

    def _hash_until(self, file: BinaryIO, offset: int) -> None:
        """Have the digest of the first bytes, reading again what another attempt sent."""
        if self._hashed > offset:
            at, digest = self._mark
            if at > offset:
                at, digest = 0, hashlib.sha256()
            self._hashed, self._digest = at, digest.copy()
        while self._hashed < offset:
            file.seek(self._hashed)
            block = file.read(min(PIECE, offset - self._hashed))
            if not block:
                return  # shorter than recorded, so its digest differs
            self._digest.update(block)
            self._hashed += len(block)

    def _read(
        self, file: BinaryIO, start: int, end: int, *, hashed: bool = False
    ) -> Iterator[bytes]:
        """Yield a part of the file; a stop by the user waits until the registry confirmed it."""
        if not hashed:
            self._hash_until(file, start)
        at = start
        while at < end:
            file.seek(at)
            block = file.read(min(PIECE, end - at))
            if not block:
                raise IntegrityError(
                    f"{self._blob.label} is shorter than recorded",
                    owner=str(self._blob.path or self._blob.label),
                    safe="the registry did not take it",
                    next="run the same command again; the file will be made again",
                )
            if not hashed:
                self._digest.update(block)
                self._hashed = at + len(block)
            at += len(block)
            yield block
            try:
                self._tell(at)
            except CancelledError as error:
                # A session is known again only from between two pieces.
                self._stopped = error


class _Gone(Exception):
    """A session that the registry does not know, and what happened."""

    def __init__(self, session: Session, lost: Lost) -> None:
        super().__init__(lost.what)
        self.session = session
        self.lost = lost
