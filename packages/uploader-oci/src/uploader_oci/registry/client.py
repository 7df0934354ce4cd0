"""One repository of a registry: its blobs, manifests and tags."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from uploader_core.plugin import AuthError, IntegrityError, RefusedError, SourceError
from uploader_oci.registry.answer import AGAIN, Answer
from uploader_oci.registry.blob import Blob, digest_of
from uploader_oci.registry.credentials import find_credentials
from uploader_oci.registry.journal import Journal, Session
from uploader_oci.registry.line import Lost, Options
from uploader_oci.registry.login import Login
from uploader_oci.registry.manifests import ACCEPT, LARGEST_MANIFEST, Manifest, check_manifest_size
from uploader_oci.registry.reading import BlobReader
from uploader_oci.registry.reference import Reference
from uploader_oci.registry.sessions import begin, give_up
from uploader_oci.registry.transport import ATTEMPTS, Transport
from uploader_oci.registry.uploads import BlobUpload, Sent


class Registry:
    """A repository of a registry; use it as a context manager.

    Args:
        reference: Host and repository; tag and digest do not matter.
        secrets: Of :data:`~uploader_oci.registry.credentials.SECRETS` those that are set.
        push: Whether something will be sent.
        options: How the registry is talked to.
        state: Folder that outlives an attempt, for what a later one goes on with.
        tell: Is told every second what is waited for; it may raise to stop.

    Raises:
        AuthError: The login cannot be read.
        RefusedError: It would be http to another machine.
    """

    def __init__(
        self,
        reference: Reference,
        *,
        secrets: Mapping[str, str],
        push: bool = False,
        options: Options | None = None,
        state: Path | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.host = reference.host
        self.repository = reference.repository
        self.journal = Journal(state)
        options = options or Options()
        credentials = find_credentials(self.host, self.repository, secrets=secrets)
        scope = f"repository:{self.repository}:{'pull,push' if push else 'pull'}"

        def make_login(transport: Transport) -> Login:
            plain = options.plain_http
            return Login(self.host, credentials, [scope], plain_http=plain, ask=transport.ask)

        self.transport = Transport(reference.api_host, options, make_login, tell)

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.transport.close()

    @property
    def place(self) -> str:
        """Host and repository, for messages."""
        return f"{self.host}/{self.repository}"

    # -- blobs ---------------------------------------------------------------------------------

    def has_blob(self, digest: str, size: int | None = None) -> bool:
        """Ask whether the repository has a blob.

        Args:
            digest: ``sha256:...``.
            size: Bytes that it must have; None for any.
        """
        answer = self.transport.request(
            "HEAD", f"/v2/{self.repository}/blobs/{digest}",
            what=f"asking {self.place} for {digest[:19]}...", expect=(200, 404),
        )  # fmt: skip
        length = answer.headers.get("content-length", "")
        return answer.status == 200 and (size is None or not length or int(length) == size)

    def push_blob(
        self,
        blob: Blob,
        *,
        mount_from: tuple[str, ...] = (),
        tell: Callable[[int], None] = lambda _: None,
    ) -> Sent:
        """Make the repository have a blob: by nothing, by a mount, or by sending it.

        Args:
            blob: What.
            mount_from: Repositories of this registry that may have it.
            tell: Is told how many bytes of it are there; it may raise to stop.

        Raises:
            UploaderError: See :meth:`uploader_oci.registry.uploads.BlobUpload.run`.
        """
        if self.has_blob(blob.digest, blob.size):
            session = self.journal.find(self.transport.host, self.repository, blob.digest)
            if session is not None:  # another run brought it
                give_up(self.transport, session)
                self.journal.drop(session)
            tell(blob.size)
            return Sent(how="there")
        location = None
        for repository in mount_from:
            mounted, location = self._mount(blob, repository)
            if mounted:
                tell(blob.size)
                return Sent(how="mounted")
            if location is not None:
                break
        upload = BlobUpload(
            self.transport,
            self.repository,
            blob,
            journal=self.journal,
            exists=lambda: self.has_blob(blob.digest, blob.size),
            tell=tell,
        )
        return upload.run(location)

    def open_blob(self, digest: str, size: int) -> BlobReader:
        """Read a blob from its beginning to its end, over lost connections, and verify it."""
        return BlobReader(self.transport, self.repository, digest, size)

    def read_blob(self, digest: str, size: int, *, limit: int = LARGEST_MANIFEST) -> bytes:
        """Return a small blob.

        Raises:
            IntegrityError: It has other bytes than its digest says.
            RefusedError: It is larger than ``limit``.
        """
        if size > limit:
            raise RefusedError(
                f"{digest[:19]}... in {self.place} has {size:,} bytes, more than {limit:,}",
                owner=self.place,
                next="check that this is a release",
            )
        return b"".join(self.open_blob(digest, size))

    def read_range(self, digest: str, start: int, stop: int) -> bytes:
        """Return some bytes of a blob, unverified; for headers of files."""
        wanted = {"Range": f"bytes={start}-{stop - 1}"}
        what = f"reading {digest[:19]}... of {self.place}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.transport.stream(
                    f"/v2/{self.repository}/blobs/{digest}", what=what, headers=wanted
                ) as (status, _, blocks):
                    # A registry that knows no ranges answers 200 with all of it.
                    skip = start if status == 200 else 0
                    content = bytearray()
                    for block in blocks:
                        content += block
                        if len(content) >= skip + stop - start:
                            break
                    return bytes(content[skip : skip + stop - start])
            except Lost as lost:
                if attempt == ATTEMPTS:
                    raise
                self.transport.pause(lost, attempt)
        raise AssertionError(digest)

    def _mount(self, blob: Blob, repository: str) -> tuple[bool, str | None]:
        """Ask for a blob of another repository.

        Returns:
            Whether it is there now; and the session that the registry began instead.
        """
        if repository == self.repository:
            return False, None
        self.transport.login.allow(f"repository:{repository}:pull")
        try:
            answer = self.transport.request(
                "POST",
                f"/v2/{self.repository}/blobs/uploads/?mount={blob.digest}&from={repository}",
                what=f"mounting {blob.label} from {repository}",
                expect=(201, 202, 400, 403, 404, 405),
            )
        except AuthError:  # nothing to read there for this login
            return False, None
        if answer.status == 201:
            return True, None
        location = answer.headers.get("location")
        started = answer.status == 202 and location
        return False, self.transport.url(str(location)) if started else None

    # -- manifests -----------------------------------------------------------------------------

    def find_manifest(self, version: str) -> Manifest | None:
        """Ask what a tag or digest stands for, None for nothing."""
        answer = self._ask_manifest("HEAD", version)
        digest = answer.headers.get("docker-content-digest", "")
        if answer.status == 200 and not digest:
            return self.get_manifest(version)  # not every registry tells it by a HEAD
        media_type = answer.headers.get("content-type", "")
        return None if answer.status == 404 else Manifest(digest=digest, media_type=media_type)

    def stands_for(self, tag: str, content: bytes) -> bool:
        """Ask whether a tag stands for a manifest of these bytes."""
        found = self.find_manifest(tag)
        return found is not None and found.digest == digest_of(content)

    def get_manifest(self, version: str) -> Manifest:
        """Return a manifest.

        Args:
            version: Tag, or digest, with which the bytes are compared.

        Raises:
            SourceError: There is none.
            IntegrityError: Other bytes than the digest says.
        """
        answer = self._ask_manifest("GET", version)
        if answer.status == 404:
            raise SourceError(
                f"{self.place} has no {version}",
                owner=self.host,
                safe="nothing was changed",
                next="check the name and the tag, and that this login may read there",
            )
        digest = digest_of(answer.content)
        told = version if version.startswith("sha256:") else \
            answer.headers.get("docker-content-digest", digest)  # fmt: skip
        if told.startswith("sha256:") and told != digest:
            raise IntegrityError(
                f"{self.place} says {told[:19]}... of a manifest that is {digest[:19]}...",
                owner=self.host,
                next=AGAIN,
            )
        return Manifest(
            digest=digest,
            media_type=answer.headers.get("content-type", "").partition(";")[0].strip(),
            content=answer.content,
        )

    def put_manifest(self, version: str, content: bytes, media_type: str) -> str:
        """Give a tag or a digest its manifest; everything that it names has to be there.

        Returns:
            Its digest.

        Raises:
            RefusedError: It is larger than registries take.
            IntegrityError: The registry has another one afterwards.
        """
        check_manifest_size(len(content), self.place)
        digest = digest_of(content)
        answer = self.transport.request(
            "PUT", f"/v2/{self.repository}/manifests/{version}", body=content,
            what=f"tagging {self.place}:{version}", expect=(201, 202),
            headers={"Content-Type": media_type},
        )  # fmt: skip
        told = answer.headers.get("docker-content-digest", digest)
        if told != digest:
            raise IntegrityError(
                f"{self.place}:{version} is {told[:19]}... now, expected {digest[:19]}...",
                owner=self.host,
                next=AGAIN,
            )
        return digest

    def lists_referrers(self, digest: str) -> bool:
        """Ask whether the registry itself lists what refers to a manifest."""
        answer = self.transport.request(
            "GET", f"/v2/{self.repository}/referrers/{digest}",
            what=f"asking {self.place} what refers to {digest[:19]}...",
            expect=(200, 400, 404, 405),  # of a registry that has no such list
        )  # fmt: skip
        return answer.status == 200

    def _ask_manifest(self, method: str, version: str) -> Answer:
        return self.transport.request(
            method, f"/v2/{self.repository}/manifests/{version}",
            what=f"asking {self.place} for {version}", headers=ACCEPT, expect=(200, 404),
        )  # fmt: skip

    # -- rights --------------------------------------------------------------------------------

    def check_read(self) -> None:
        """Raise what is wrong with address, login or the right to read."""
        self.has_blob("sha256:" + hashlib.sha256(b"").hexdigest())

    def check_push(self) -> None:
        """Raise what is wrong with address, login or the right to push.

        No registry answers that question, so an upload is begun and given up.
        """
        what = f"asking {self.host} whether {self.repository} may be pushed to"
        location, _ = begin(self.transport, self.repository, what)
        host, repository = self.transport.host, self.repository
        session = Session(host=host, repository=repository, digest="", location=location)
        give_up(self.transport, session)
