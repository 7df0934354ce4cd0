"""S3: files are sent with checksums that the store keeps, large ones in parts."""

from __future__ import annotations

import base64
import collections
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from uploader_core.plugin import RefusedError, UploadFile
from uploader_fsspec.store.address import Address
from uploader_fsspec.store.errors import code_of
from uploader_fsspec.store.store import Entry, Store, changed

SMALLEST = 5 << 20
"""Bytes of a part that S3 takes; the last one may be smaller."""

_MOST_PARTS = 10_000
_AT_ONCE = 4
_PART_SIZE = "uploader-part-size"
"""Metadata of an object in parts, by which the checksum of its file can be computed again."""

_EVERYBODY = "/groups/global/AllUsers"


class S3Store(Store):
    """A folder of a bucket.

    Args:
        address: The folder.
        filesystem: Of s3fs.
        path: ``bucket/folder``.
        missing: Class of the error where something is not there.
        part_size: Files above it are sent in parts of this many bytes.
    """

    def __init__(
        self,
        address: Address,
        filesystem: Any,
        path: str,
        missing: type[RefusedError],
        *,
        part_size: int,
    ) -> None:
        super().__init__(address, filesystem, path, missing)
        self._bucket, self._folder, _ = filesystem.split_path(self.path)
        self._part_size = part_size

    def holds(self, name: str, file: UploadFile, entry: Entry, *, read: bool) -> bool:
        """Compare the checksum that the store keeps; read back what has none."""
        if entry.size != file.size:
            return False
        kept, part_size = ("", 0) if read else self._checksum(name)
        if not kept:
            return super().holds(name, file, entry, read=read)
        if part_size:
            return file.path.is_file() and kept == _checksum_in_parts(file.path, part_size)
        return kept == _text(bytes.fromhex(file.sha256))

    def holds_digest(self, name: str, sha256: str, entry: Entry, *, read: bool) -> bool:
        """Compare the checksum; what was sent in parts has none of the whole, and is read."""
        kept, part_size = ("", 0) if read else self._checksum(name)
        if not kept or part_size:
            return super().holds_digest(name, sha256, entry, read=read)
        return kept == _text(bytes.fromhex(sha256))

    def put(self, name: str, file: UploadFile, tell: Callable[[int], None]) -> None:
        with self.errors(f"sending {name}"):
            if file.size > self._part_size:
                self._put_in_parts(name, file, tell)
                return
            content = file.path.read_bytes()
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise changed(file)
            self._call("put_object", Key=self._key(name), Body=content, **_checked(content))
            tell(len(content))

    def put_bytes(self, name: str, content: bytes) -> None:
        with self.errors(f"writing {name}"):
            self._call("put_object", Key=self._key(name), Body=content, **_checked(content))

    def try_writing(self) -> None:
        """Begin an upload and give it up: nobody sees anything of it."""
        key = self._key("upload_manifest.json.partial")
        with self.errors("writing"):
            begun = self._call("create_multipart_upload", Key=key)
            self._call("abort_multipart_upload", Key=key, UploadId=begun["UploadId"])

    def give_up_uploads(self) -> None:
        with self.errors("giving up uploads that broke off"):
            for upload in [*self._uploads()]:
                about = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                with contextlib.suppress(FileNotFoundError):
                    self._call("abort_multipart_upload", **about)

    def is_public(self) -> bool | None:
        """Ask for the bucket's policy and its list of rights; None where that is not allowed."""
        try:
            status = self._call("get_bucket_policy_status")["PolicyStatus"]["IsPublic"]
        except Exception as error:
            status = False if code_of(error) == "NoSuchBucketPolicy" else None
        if status:
            return True
        try:
            grants = self._call("get_bucket_acl")["Grants"]
        except Exception:
            return None
        everybody = any(str(g["Grantee"].get("URI", "")).endswith(_EVERYBODY) for g in grants)
        return True if everybody else status

    # -- inside --------------------------------------------------------------------------------

    def _put_in_parts(self, name: str, file: UploadFile, tell: Callable[[int], None]) -> None:
        part_size = max(self._part_size, -(-file.size // _MOST_PARTS))
        key = self._key(name)
        begun = self._call(
            "create_multipart_upload", Key=key, ChecksumAlgorithm="SHA256",
            Metadata={_PART_SIZE: str(part_size)},
        )  # fmt: skip
        about = {"Key": key, "UploadId": begun["UploadId"]}
        try:
            parts = self._send_parts(file, part_size, about, tell)
            self._call("complete_multipart_upload", **about, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(Exception):  # parts that nobody completes are paid for
                self._call("abort_multipart_upload", **about)
            raise

    def _send_parts(
        self,
        file: UploadFile,
        part_size: int,
        about: Mapping[str, str],
        tell: Callable[[int], None],
    ) -> list[Mapping[str, Any]]:
        """Send all parts, a few at once, and compare the file with what was recorded of it."""
        digest = hashlib.sha256()
        pending: collections.deque[Future[tuple[int, Mapping[str, Any]]]] = collections.deque()
        parts: list[Mapping[str, Any]] = []

        def wait() -> None:
            size, part = pending.popleft().result()
            parts.append(part)
            tell(size)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for number, content in enumerate(_parts(file.path, part_size), 1):
                    digest.update(content)
                    pending.append(pool.submit(self._send_part, about, number, content))
                    if len(pending) >= _AT_ONCE:
                        wait()
                while pending:
                    wait()
            finally:
                for job in pending:
                    job.cancel()
        if digest.hexdigest() != file.sha256:
            raise changed(file)
        return parts

    def _send_part(
        self, about: Mapping[str, str], number: int, content: bytes
    ) -> tuple[int, Mapping[str, Any]]:
        checked = _checked(content)
        answer = self._call("upload_part", **about, PartNumber=number, Body=content, **checked)
        return len(content), {
            "PartNumber": number,
            "ETag": answer["ETag"],
            "ChecksumSHA256": checked["ChecksumSHA256"],
        }

    def _checksum(self, name: str) -> tuple[str, int]:
        """Return the SHA-256 that the store keeps, and the size of parts that it is made of.

        Returns:
            "" and 0 for an object of which it keeps none; 0 for one that was sent whole.
        """
        with self.errors(f"looking at {name}"):
            found = self._call("head_object", Key=self._key(name), ChecksumMode="ENABLED")
        kept, _, parts = str(found.get("ChecksumSHA256") or "").partition("-")
        told = str(found.get("Metadata", {}).get(_PART_SIZE, ""))
        # Some stores leave the number of parts out; whoever else sent it in parts says no size.
        in_parts = bool(parts) or found.get("ChecksumType") == "COMPOSITE" or bool(told)
        if not in_parts:
            return kept, 0
        return (kept, int(told)) if told.isdigit() and int(told) > 0 else ("", 0)

    def _uploads(self) -> Iterator[Mapping[str, Any]]:
        """Yield the uploads in parts that are begun below the folder."""
        more: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", Prefix=self._key(""), **more)
            yield from page.get("Uploads", ())
            if not page.get("IsTruncated"):
                return
            more = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page["NextUploadIdMarker"],
            }

    def _key(self, name: str) -> str:
        return f"{self._folder}/{name}" if self._folder else name

    def _call(self, method: str, **arguments: Any) -> Any:
        return self.filesystem.call_s3(method, Bucket=self._bucket, **arguments)


def _parts(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(size):
            yield part


def _checksum_in_parts(path: Path, size: int) -> str:
    parts = [hashlib.sha256(part).digest() for part in _parts(path, size)]
    return _text(hashlib.sha256(b"".join(parts)).digest())


def _checked(content: bytes) -> dict[str, str]:
    digest = _text(hashlib.sha256(content).digest())
    return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": digest}


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
