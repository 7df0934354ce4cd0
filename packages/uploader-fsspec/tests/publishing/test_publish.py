"""Releases in buckets: what is sent, in which order, what is removed, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from line_filesystem import LineFileSystem
from releases import ONE, TWO
from uploader_core.plugin import (
    ArrivalContext,
    CancelledError,
    CleanUpContext,
    Finding,
    IntegrityError,
    Receipt,
    RefusedError,
    Verification,
    VerifyContext,
)
from uploader_fsspec.loopback import LoopbackS3
from uploader_fsspec.publishing.place import JOURNAL, MANIFEST
from uploader_fsspec.publishing.publish import clean_up
from uploader_fsspec.publishing.verify import still_there, verify
from uploader_fsspec.settings import Settings
from uploader_kit.proxy import FaultProxy

Push = Callable[..., Receipt]
LARGE = {"x/model.safetensors": bytes(range(256)) * 24_000, "README.md": b"#"}


def verified(target: str, **settings: Any) -> Verification:
    return verify(VerifyContext(target=target, settings=Settings(**settings)))


@pytest.fixture
def target(bucket: str) -> str:
    """A folder of a bucket where nothing is."""
    return f"s3://{bucket}/releases/m"


@pytest.mark.parametrize("contents", [ONE, LARGE], ids=["small", "in parts"])
def test_everything_arrives_and_is_not_sent_again(
    s3: LoopbackS3, bucket: str, target: str, push: Push, contents: dict[str, bytes]
) -> None:
    receipt = push(target, contents, part_size=5 << 20)
    there = s3.contents(bucket, "releases/m/")
    assert {name: there[name] for name in contents} == contents
    assert {*there} == {*contents, MANIFEST}
    assert receipt.bytes_sent == sum(map(len, there.values()))
    assert receipt.url == target
    again = push(target, contents, part_size=6 << 20)
    assert again.bytes_sent == 0
    found = verified(target)
    assert (found.files, found.problems) == (len(contents), ())
    assert still_there(ArrivalContext(target=target, receipt=again, settings=Settings()))
    assert not s3.sessions(bucket)


def test_root_of_a_bucket(s3: LoopbackS3, bucket: str, push: Push) -> None:
    push(f"s3://{bucket}/", ONE)
    assert {*s3.contents(bucket)} == {*ONE, MANIFEST}
    assert not verified(f"s3://{bucket}").problems


def test_manifest_is_there_while_all_of_a_release_is(
    s3: LoopbackS3, bucket: str, target: str, push: Push
) -> None:
    """At every moment of a replacement, whoever finds a manifest finds what it lists."""
    seen = []

    def look(*_: object) -> None:
        there = s3.contents(bucket, "releases/m/")
        if MANIFEST in there:
            listed = json.loads(there[MANIFEST])["files"]
            seen.append(all(len(there.get(f["path"], b"")) == f["size"] for f in listed))
        else:
            seen.append(JOURNAL in there)

    push(target, ONE)
    push(target, TWO, on_progress=look)
    assert len(seen) > 3 and all(seen)
    assert {*s3.contents(bucket, "releases/m/")} == {*TWO, MANIFEST}


def test_upload_that_was_stopped_is_known_as_ours_and_replaced(
    s3: LoopbackS3, bucket: str, target: str, push: Push, check: Callable[..., list[Finding]]
) -> None:
    def stop(what: str, *_: object) -> None:
        if what.startswith("sending: x/config"):
            raise CancelledError("stopped")

    with pytest.raises(CancelledError):
        push(target, ONE, on_progress=stop)
    assert JOURNAL in s3.contents(bucket, "releases/m/")
    check(target)
    push(target, TWO)
    assert {*s3.contents(bucket, "releases/m/")} == {*TWO, MANIFEST}


@pytest.mark.parametrize("choice", ["refuse", "remove", "keep"])
def test_user_decides_about_files_of_nobodys_release(
    s3: LoopbackS3, bucket: str, target: str, push: Push, choice: str
) -> None:
    push(target, ONE)
    s3.put(bucket, "releases/m/x/other.safetensors", b"theirs")
    if choice == "refuse":
        with pytest.raises(RefusedError, match=r"x/other\.safetensors") as caught:
            push(target, TWO)
        assert "--fsspec-foreign remove" in str(caught.value.next)
        return
    assert verified(target).problems
    push(target, TWO, foreign=choice)
    there = s3.contents(bucket, "releases/m/")
    assert ("x/other.safetensors" in there) is (choice == "keep")
    assert not verified(target).problems


def test_folder_with_something_else_is_refused(
    s3: LoopbackS3, bucket: str, target: str, check: Callable[..., list[Finding]]
) -> None:
    assert not check(target)
    s3.put(bucket, "releases/m/holiday.jpg", b"x")
    with pytest.raises(RefusedError, match="is not empty and holds no upload_manifest.json"):
        check(target)
    with pytest.raises(RefusedError, match="there is no bucket no-such-bucket"):
        check("s3://no-such-bucket/x")


def test_plan_says_what_goes_and_who_may_read(
    s3: LoopbackS3, bucket: str, target: str, push: Push, check: Callable[..., list[Finding]]
) -> None:
    push(target, ONE)
    s3.client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    said = [finding.what for finding in check(target, files=tuple(TWO))]
    assert said[0] == f"everybody may read s3://{bucket}"
    assert "x/model.safetensors goes" in said[1]
    assert push(target, ONE).private is False
    (refused,) = check(target, part_size=1000)
    assert refused.level == "error"


def test_file_that_changed_since_it_was_recorded_is_not_sent(
    s3: LoopbackS3, bucket: str, target: str, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    from uploader_fsspec.publishing import publish

    compare = publish.refuse_secrets

    def changing(files: Any, *args: Any, **more: Any) -> None:
        files[0].path.write_bytes(b"\0" * files[0].size)
        compare(files, *args, **more)

    monkeypatch.setattr(publish, "refuse_secrets", changing)
    for contents in (ONE, LARGE):
        with pytest.raises(IntegrityError, match="changed since it was recorded"):
            push(target, contents, part_size=5 << 20)
        assert {*s3.contents(bucket, "releases/m/")} == {JOURNAL}
        assert not s3.sessions(bucket)


@pytest.mark.parametrize("contents", [ONE, LARGE], ids=["small", "in parts"])
def test_damage_is_named(
    s3: LoopbackS3, bucket: str, target: str, push: Push, contents: dict[str, bytes]
) -> None:
    push(target, contents, part_size=5 << 20)
    name = "x/model.safetensors"
    s3.put(bucket, f"releases/m/{name}", b"\0" * len(contents[name]))
    (problem,) = verified(target).problems
    assert (problem.path, problem.what) == (name, "has other content than recorded")
    assert push(target, contents, part_size=5 << 20).bytes_sent == len(contents[name]) + len(
        s3.contents(bucket, "releases/m/")[MANIFEST]
    )
    s3.client.delete_object(Bucket=bucket, Key=f"releases/m/{name}")
    (problem,) = verified(target, verify="read").problems
    assert problem.what == "is missing"


def test_release_that_was_replaced_is_not_there(target: str, push: Push) -> None:
    receipt = push(target, ONE)
    push(target, TWO)
    assert not still_there(ArrivalContext(target=target, receipt=receipt, settings=Settings()))


def test_parts_that_nobody_will_complete_are_given_up(
    s3: LoopbackS3, bucket: str, target: str
) -> None:
    for key in ("releases/m/x/model.safetensors", "elsewhere/model.safetensors"):
        s3.client.create_multipart_upload(Bucket=bucket, Key=key)
    clean_up(CleanUpContext(target=target, why="killed", state=Path(), settings=Settings()))
    (left,) = s3.client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert left["Key"] == "elsewhere/model.safetensors"


def test_lost_connection_in_the_middle_of_a_part(
    s3: LoopbackS3, bucket: str, target: str, push: Push, line: FaultProxy
) -> None:
    line.random, line.chance, line.within = random.Random(1), 0.6, 2_000_000
    line.cuts, line.after = 2, 1_000_000  # whatever chance says of the connection of the first part
    push(target, LARGE, part_size=5 << 20)
    assert line.broken
    assert s3.contents(bucket, "releases/m/")["x/model.safetensors"] == LARGE["x/model.safetensors"]


def test_store_that_keeps_no_checksums_is_read_back(
    wire: type[LineFileSystem], push: Push, check: Callable[..., list[Finding]]
) -> None:
    target = "line://bucket/releases/m"
    assert not check(target)
    assert push(target, ONE).bytes_sent > 3000
    assert [name for name in wire.written if name != "config.json"] == [
        "model.safetensors", "README.md", MANIFEST,
    ]  # fmt: skip
    assert push(target, ONE).bytes_sent == 0
    assert not verified(target).problems
    push(target, TWO)
    assert not verified(target).problems
    wire.store["/bucket/releases/m/x/model-1.safetensors"].write(b"\0")
    (problem,) = verified(target).problems
    assert problem.path == "x/model-1.safetensors"
