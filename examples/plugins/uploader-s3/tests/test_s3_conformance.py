"""uploader's conformance kit against moto's S3 server, over loopback."""

from __future__ import annotations

import contextlib
import logging
import urllib.request
from collections.abc import Iterator
from hashlib import sha256

import boto3
from moto.server import ThreadedMotoServer

from uploader_core.testing import Destination, UploadConformance

KEYS = {"AWS_ACCESS_KEY_ID": "access-key-1", "AWS_SECRET_ACCESS_KEY": "secret-key-0123456789"}


@contextlib.contextmanager
def bucket() -> Iterator[tuple[str, object]]:
    """A server with an empty bucket, and an independent client."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        urllib.request.urlopen(f"{url}/moto-api/reset", data=b"").close()  # servers share a memory
        client.create_bucket(Bucket="models")
        yield url, client
        client.close()
    finally:
        server.stop()


class S3Conformance(UploadConformance):
    """A folder of a bucket; parts of 5 MiB, so that the largest file needs two."""

    plugin = "s3"
    settings = {"part_size": 5 << 20}
    size = 6_000_000
    cut_after = 3_000_000

    @contextlib.contextmanager
    def destination(self) -> Iterator[Destination]:
        with bucket() as (url, client):

            def listing() -> dict[str, str]:
                found = client.list_objects_v2(Bucket="models").get("Contents", ())
                bodies = {o["Key"]: client.get_object(Bucket="models", Key=o["Key"]) for o in found}
                return {
                    key.removeprefix("my/release/"): sha256(body["Body"].read()).hexdigest()
                    for key, body in bodies.items()
                }

            def damage(name: str) -> None:
                key = f"my/release/{name}"
                size = client.head_object(Bucket="models", Key=key)["ContentLength"]
                client.put_object(Bucket="models", Key=key, Body=b"\0" * size)

            yield Destination(
                target="models/my/release",
                listing=listing,
                environment={**KEYS, "AWS_ENDPOINT_URL": url},
                url=url,
                url_variable="AWS_ENDPOINT_URL",
                damage=damage,
            )


class TestByChecksum(S3Conformance):
    """Proven by the checksums that the store keeps."""


class TestByReading(S3Conformance):
    """Proven by reading everything back."""

    settings = {"verify": "read"}
    size = 200_000
    cut_after = 50_000
