"""Blobs from a registry: over lost connections, verified while they are received."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import IO

from uploader_core.plugin import IntegrityError, UploaderError
from uploader_oci.registry.answer import AGAIN
from uploader_oci.registry.line import Lost
from uploader_oci.registry.transport import ATTEMPTS, Transport


class BlobReader:
    """The blocks of a blob: goes on where a connection was lost, and compares at the end."""

    def __init__(self, transport: Transport, repository: str, digest: str, size: int) -> None:
        self._transport = transport
        self._repository = repository
        self._place = f"{transport.host}/{repository}"
        self._digest = digest
        self._size = size

    def __iter__(self) -> Iterator[bytes]:
        """Yield all blocks.

        Raises:
            IntegrityError: They are not what the digest says; nothing of them may be used.
            UploaderError: What the registry refuses, or the network.
        """
        hashed, at, failures = hashlib.sha256(), 0, 0
        while at < self._size:
            try:
                for block in self._from(at):
                    hashed.update(block)
                    at += len(block)
                    failures = 0
                    if at > self._size:
                        raise self._wrong(f"has more than {self._size:,} bytes")
                    yield block
                if at < self._size:
                    raise Lost("the connection ended early", next=AGAIN)
            except Lost as lost:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                self._transport.pause(lost, failures)
        if f"sha256:{hashed.hexdigest()}" != self._digest:
            raise self._wrong("has other bytes than its digest says")

    def copy_to(self, file: IO[bytes], tell: Callable[[int], None] = lambda _: None) -> None:
        """Write all of it to a file.

        Raises:
            UploaderError: As when it is iterated over.
        """
        at = 0
        for block in self:
            file.write(block)
            at += len(block)
            tell(at)

    def _from(self, start: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._transport.stream(
            f"/v2/{self._repository}/blobs/{self._digest}",
            what=f"reading {self._digest[:19]}... of {self._place}",
            headers=headers,
        ) as (status, _, blocks):
            skip = start if status == 200 else 0  # one that knows no ranges sends all of it
            for block in blocks:
                rest = block[skip:]
                skip = max(0, skip - len(block))
                if rest:
                    yield rest

    def _wrong(self, what: str) -> UploaderError:
        return IntegrityError(
            f"{self._digest[:19]}... of {self._place} {what}",
            owner=self._transport.host,
            safe="nothing of it was used",
            next=AGAIN,
        )
