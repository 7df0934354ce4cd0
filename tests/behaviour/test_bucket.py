"""A release made from a bucket and sent to one, by the command, over a bad line.

The long part runs with ``nox -s faults_fsspec``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from uploader_fsspec.loopback import LoopbackS3, loopback_s3
from uploader_kit.proxy import FaultProxy

BUCKET = "team"


@pytest.fixture
def s3(uploader: Any, fine_tune: Path, tmp_path: Path) -> Iterator[LoopbackS3]:
    """A server with the fine-tune and its base, which the command reaches over a bad line."""
    with loopback_s3() as server, FaultProxy(server.url).running() as line:
        server.make_bucket(BUCKET)
        for name, folder in (("run/final", fine_tune), ("base", fine_tune.parents[1] / "base")):
            for path in folder.iterdir():
                server.put(BUCKET, f"{name}/{path.name}", path.read_bytes())
        uploader.environment |= {
            **server.environment,
            "AWS_ENDPOINT_URL": line.url,
            "UPLOADER_FSSPEC_CACHE": str(tmp_path / "cache"),
        }
        line.random, line.chance, line.within = random.Random(7), 0.3, 200_000
        yield server


def digests(folder: Path) -> dict[str, str]:
    manifest = json.loads((folder / "upload_manifest.json").read_text("utf-8"))
    return {file["path"]: file["sha256"] for file in manifest["files"] if file["role"] == "weights"}


@pytest.mark.slow
def test_adapter_and_base_come_from_a_bucket_and_the_release_goes_to_one(
    uploader: Any, fine_tune: Path, s3: LoopbackS3
) -> None:
    result = uploader(
        "run", fine_tune, "--plugins", "lora,merged-16bit", "--yes", "--output", "here"
    )
    assert result.returncode == 0, result.stderr
    target = f"dir:s3://{BUCKET}/releases/tiny"
    command = ("run", f"s3://{BUCKET}/run/final/", "--base", f"s3://{BUCKET}/base", "--plugins",
               "lora,merged-16bit", "--to", target, "--yes", "--output", "there")  # fmt: skip
    for _ in range(3):  # what is lost too often is temporary, and the same command goes on
        result = uploader(*command)
        if result.returncode != 5:
            break
    assert result.returncode == 0, result.stderr
    here, there = digests(uploader.cwd / "here"), digests(uploader.cwd / "there")
    assert here == there
    sent = s3.contents(BUCKET, "releases/tiny/")
    assert {name: sha256(sent[name]).hexdigest() for name in here} == here
    assert uploader("verify", target).returncode == 0
    # A place in a bucket is no name on the Hub, and no card may say so.
    for name, content in sent.items():
        if name.endswith(".md"):
            assert b"s3:" not in content.partition(b"\n---\n")[0]


def test_bucket_that_is_not_there_is_refused_before_anything_is_made(
    uploader: Any, fine_tune: Path, s3: LoopbackS3
) -> None:
    result = uploader("run", fine_tune, "--plugins", "lora", "--to", "dir:s3://nobody/x", "--yes",
                      "--output", "out")  # fmt: skip
    assert result.returncode == 4
    assert "there is no bucket nobody" in result.stderr
    assert not (uploader.cwd / "out").exists()


def test_weights_of_a_base_that_nothing_is_made_of_stay_where_they_are(
    uploader: Any, s3: LoopbackS3, tmp_path: Path
) -> None:
    uploader.environment["AWS_ENDPOINT_URL"] = s3.url
    result = uploader("run", f"s3://{BUCKET}/run/final", "--base", f"s3://{BUCKET}/base",
                      "--plugins", "lora", "--yes", "--output", "out")  # fmt: skip
    assert result.returncode == 0, result.stderr
    (config,) = (tmp_path / "cache").glob("*/*/base/config.json")
    assert not [*config.parent.glob("*.safetensors")]
    assert uploader("verify", "out").returncode == 0
