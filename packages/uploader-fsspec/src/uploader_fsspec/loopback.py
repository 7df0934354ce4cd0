"""moto's S3 server on 127.0.0.1, for tests: ``pip install "uploader-fsspec[test]"``."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from uploader_core.plugin import PluginError

HOW_TO_GET = 'moto is not installed: pip install "uploader-fsspec[test]"'


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopbackS3:
    """A server that runs.

    Attributes:
        url: Its address.
        client: A client of boto3 for it, which is none of ours.
        environment: Variables with which any tool of S3 finds it.
    """

    url: str
    client: Any
    environment: Mapping[str, str] = field(default_factory=dict)

    def make_bucket(self, name: str) -> str:
        """Make an empty bucket, in place of one of that name, and return the name."""
        with contextlib.suppress(self.client.exceptions.NoSuchBucket):
            for key in self.contents(name):
                self.client.delete_object(Bucket=name, Key=key)
            self.client.delete_bucket(Bucket=name)
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Put an object there."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def contents(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Return all objects below a prefix, by the rest of their keys."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return {
            key.removeprefix(prefix): self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in keys
        }

    def sessions(self, bucket: str) -> int:
        """Return how many uploads in parts are begun and neither finished nor given up."""
        return len(self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()))


@contextlib.contextmanager
def loopback_s3() -> Iterator[LoopbackS3]:
    """Start a server with nothing in it, and end it with the block.

    Raises:
        PluginError: moto is not installed.
    """
    try:
        import boto3
        from moto.server import ThreadedMotoServer
    except ImportError:
        raise PluginError(HOW_TO_GET, owner="uploader_fsspec.loopback", next=HOW_TO_GET) from None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        keys = ("access-key-1", "secret-key-0123456789")
        yield LoopbackS3(
            url=url,
            client=boto3.client(
                "s3",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id=keys[0],
                aws_secret_access_key=keys[1],
            ),
            environment={
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": keys[0],
                "AWS_SECRET_ACCESS_KEY": keys[1],
            },
        )
    finally:
        server.stop()
