"""uploader-fsspec on the conformance kit, against moto's S3 server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from hashlib import sha256

import pytest

from uploader_fsspec.loopback import loopback_s3
from uploader_kit import Destination, UploadConformance

BUCKET, FOLDER = "models", "releases/tiny/"


class _ToBucket(UploadConformance):
    plugin = "fsspec"

    @contextlib.contextmanager
    def destination(self) -> Iterator[Destination]:
        with loopback_s3() as server:
            server.make_bucket(BUCKET)

            def damage(name: str) -> None:
                size = len(server.contents(BUCKET, FOLDER)[name])
                server.put(BUCKET, FOLDER + name, b"\0" * size)

            yield Destination(
                target=f"s3://{BUCKET}/{FOLDER}",
                listing=lambda: {
                    name: sha256(content).hexdigest()
                    for name, content in server.contents(BUCKET, FOLDER).items()
                },
                environment=server.environment,
                url=server.url,
                url_variable="AWS_ENDPOINT_URL",
                damage=damage,
                open_sessions=lambda: server.sessions(BUCKET),
            )


class TestByChecksum(_ToBucket):
    """Parts of 5 MiB, so that the largest file needs two."""

    settings = {"part_size": "5MiB"}
    size = 6_000_000
    cut_after = 3_000_000


@pytest.mark.slow
class TestByReading(_ToBucket):
    """Everything is read back."""

    settings = {"verify": "read"}
    size = 200_000
    cut_after = 50_000
