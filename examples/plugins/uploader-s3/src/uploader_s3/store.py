"""A bucket, by s3fs: put with checksums, list, prove. Errors come out as uploader's own."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import s3fs

from uploader_core.plugin import CHUNK, AuthError, RefusedError, TemporaryError, hash_file


class Store:
    """One bucket. Credentials and endpoint come from the variables that every S3 tool reads.

    Args:
        bucket: Its name.
        region: For the signature.
        part_size: Files above it are sent in parts of this many bytes.
    """

    def __init__(self, bucket: str, *, region: str, part_size: int = 64 << 20) -> None:
        self.bucket = bucket
        self._part_size = part_size
        self._fs = s3fs.S3FileSystem(
            client_kwargs={"region_name": region},
            config_kwargs={"retries": {"max_attempts": 5, "mode": "standard"}},
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def reach(self) -> None:
        """Raise what is wrong with the bucket, the credentials or the right to list."""
        self._call("list_objects_v2", MaxKeys=1)

    def sizes(self, prefix: str) -> dict[str, int]:
        """List keys below a prefix with their bytes."""
        found: dict[str, int] = {}
        more: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **more)
            found |= {entry["Key"]: entry["Size"] for entry in page.get("Contents", ())}
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def checksum(self, key: str) -> str | None:
        """Return the SHA-256 that the store keeps of an object, None when it keeps none."""
        value = self._call("head_object", Key=key, ChecksumMode="ENABLED").get("ChecksumSHA256")
        # That of an object in parts ends with "-" and their number; some stores leave it out.
        return str(value).partition("-")[0] if value else None

    def expected(self, path: Path) -> str:
        """Return the checksum that the store keeps of a file when it arrived whole."""
        if path.stat().st_size <= self._part_size:
            return _text(bytes.fromhex(hash_file(path)[1]))
        parts = [hashlib.sha256(part).digest() for part in self._parts(path)]
        return _text(hashlib.sha256(b"".join(parts)).digest())

    def digest(self, key: str) -> str:
        """Read an object back and return its sha256, hex."""
        digest = hashlib.sha256()
        with self._errors("get_object"), self._fs.open(f"{self.bucket}/{key}", "rb") as file:
            while block := file.read(CHUNK):
                digest.update(block)
        return digest.hexdigest()

    def read(self, key: str) -> bytes:
        """Return the content of a small object."""
        with self._errors("get_object"), self._fs.open(f"{self.bucket}/{key}", "rb") as file:
            content: bytes = file.read()
        return content

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects."""
        for key in keys:
            self._call("delete_object", Key=key)

    def put(self, path: Path, key: str, sent: Callable[[int], None]) -> None:
        """Send a file; the store refuses a part whose checksum does not fit."""
        if path.stat().st_size <= self._part_size:
            body = path.read_bytes()
            self._call("put_object", Key=key, Body=body, **_checked(body))
            sent(len(body))
            return
        upload = self._call("create_multipart_upload", Key=key, ChecksumAlgorithm="SHA256")
        about = {"Key": key, "UploadId": upload["UploadId"]}
        parts = []
        try:
            for number, body in enumerate(self._parts(path), 1):
                checked = _checked(body)
                answer = self._call("upload_part", **about, PartNumber=number, Body=body, **checked)
                parts.append(
                    {
                        "PartNumber": number,
                        "ETag": answer["ETag"],
                        "ChecksumSHA256": checked["ChecksumSHA256"],
                    }
                )
                sent(len(body))
            self._call("complete_multipart_upload", **about, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(Exception):  # parts that nobody completes are paid for
                self._fs.call_s3("abort_multipart_upload", Bucket=self.bucket, **about)
            raise

    def _parts(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while part := file.read(self._part_size):
                yield part

    def _call(self, method: str, **arguments: Any) -> Any:
        with self._errors(method):
            return self._fs.call_s3(method, Bucket=self.bucket, **arguments)

    @contextlib.contextmanager
    def _errors(self, method: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, NoCredentialsError

        owner = f"bucket {self.bucket}"
        try:
            yield
        except NoCredentialsError as error:
            raise AuthError(
                "there are no credentials for S3",
                owner=owner,
                next="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ) from error
        except PermissionError as error:
            raise AuthError(
                f"the store does not allow {method}: {error}",
                owner=owner,
                next="check the rights of the access key: list, get and put objects",
            ) from error
        except FileNotFoundError as error:
            raise RefusedError(
                f"{error}", owner=owner, next="create the bucket, or name another with --to s3:..."
            ) from error
        except (OSError, BotoCoreError) as error:
            raise TemporaryError(
                f"{method} failed: {type(error).__name__}: {error}",
                owner=owner,
                safe="what arrived stays there",
                next="run the same command again; only what is missing is sent",
            ) from error


def _checked(body: bytes) -> dict[str, str]:
    digest = _text(hashlib.sha256(body).digest())
    return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": digest}


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")
