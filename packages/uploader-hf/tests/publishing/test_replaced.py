"""A second release into a repository replaces the first, in the commit that brings it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from uploader_core.plugin import Receipt, RefusedError, UploadFile, VerifyContext
from uploader_hf.loopback import Fault, LoopbackHub

LOADS = ("*.safetensors", "*.index.json", "chat_template.jinja", "*.gguf")
ONE = {"model.safetensors": "one", "chat_template.jinja": "one", "config.json": "{}"}
SHARDS = {
    "model-00001-of-00002.safetensors": "two",
    "model-00002-of-00002.safetensors": "zwei",
    "model.safetensors.index.json": "{}",
    "config.json": "{}",
}
GIT = ".gitattributes"
MANIFEST = "upload_manifest.json"


@pytest.fixture
def publish(upload: Callable[..., Receipt], tmp_path: Path) -> Callable[..., Receipt]:
    """Publish some contents with their manifest; keywords are settings."""

    def put(contents: Mapping[str, str], **settings: Any) -> Receipt:
        listed = [
            {"path": n, "size": len(t), "sha256": hashlib.sha256(t.encode()).hexdigest()}
            for n, t in contents.items()
        ]
        data = {"schema": "uploader.manifest/1", "files": listed, "loads": LOADS}
        files = []
        for name, text in {**contents, MANIFEST: json.dumps(data)}.items():
            path = tmp_path / "here" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            digest = hashlib.sha256(text.encode()).hexdigest()
            files.append(
                UploadFile(
                    name=name, path=path, size=len(text), sha256=digest, role="other", kind="x"
                )
            )
        return upload(files=files, loads=LOADS, **settings)

    return put


Publish = Callable[..., Receipt]


def put(api: Any, name: str, text: str = "somebody's") -> None:
    api.upload_file(path_or_fileobj=text.encode(), path_in_repo=name, repo_id="me/tiny")


def names(api: Any, revision: str | None = None) -> set[str]:
    return {*api.list_repo_files("me/tiny", revision=revision)}


def test_what_only_the_first_release_had_goes_in_the_same_commit(
    publish: Publish, api: Any
) -> None:
    publish(ONE)
    put(api, "notes.txt")
    before = len(api.list_repo_commits("me/tiny"))
    publish(SHARDS)
    assert names(api) == {*SHARDS, MANIFEST, "notes.txt", GIT}
    assert len(api.list_repo_commits("me/tiny")) == before + 1


def test_going_back_to_one_file_takes_the_index_away(publish: Publish, api: Any) -> None:
    publish(SHARDS)
    publish(ONE)
    assert names(api) == {*ONE, MANIFEST, GIT}


def test_a_lost_answer_takes_nothing_away_twice(
    publish: Publish, api: Any, hub: LoopbackHub
) -> None:
    publish(ONE)
    hub.faults.add(Fault("lose", r"POST .*/commit/"))
    publish(SHARDS)
    assert names(api) == {*SHARDS, MANIFEST, GIT}
    assert len(api.list_repo_commits("me/tiny")) == 3


def test_a_pull_request_takes_away_what_its_merge_would_leave(publish: Publish, api: Any) -> None:
    publish(ONE)
    publish(SHARDS, pr=True)
    assert names(api) == {*ONE, MANIFEST, GIT}
    assert names(api, "refs/pr/1") == {*SHARDS, MANIFEST, GIT}


def test_files_of_releases_before_the_last_one_are_known_from_the_history(
    publish: Publish, api: Any
) -> None:
    publish(ONE)
    # An uploader that took nothing away: the second release beside the first.
    publish(ONE | SHARDS)
    listed = json.loads(Path(api.hf_hub_download("me/tiny", MANIFEST)).read_text())
    listed["files"] = [f for f in listed["files"] if f["path"] in SHARDS]
    put(api, MANIFEST, json.dumps(listed))
    publish(SHARDS | {"more.gguf": "3"})
    assert names(api) == {*SHARDS, "more.gguf", MANIFEST, GIT}


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja", "other.gguf"])
def test_a_file_of_nobodys_release_that_would_be_loaded_is_refused_by_name(
    publish: Publish, check: Callable[..., list[str]], api: Any, name: str
) -> None:
    publish(SHARDS)
    put(api, name)
    before = api.repo_info("me/tiny").sha
    told = check(files=tuple(SHARDS), loads=LOADS)
    assert any(name in line for line in told)
    with pytest.raises(RefusedError, match=name) as caught:
        publish(SHARDS | {"more.json": "{}"})
    assert "--hf-foreign" in (caught.value.next or "")
    assert api.repo_info("me/tiny").sha == before


@pytest.mark.parametrize("decision", ["remove", "keep"])
def test_the_user_decides_about_it(publish: Publish, api: Any, decision: str) -> None:
    publish(SHARDS)
    put(api, "model.safetensors")
    publish(SHARDS, foreign=decision)
    assert ("model.safetensors" in names(api)) == (decision == "keep")
    assert verify(api) == ()


def test_what_the_owner_keeps_beside_a_release_is_no_matter(
    publish: Publish, check: Callable[..., list[str]], api: Any
) -> None:
    api.create_repo("me/tiny", private=True)
    for name in ("LICENSE", "training_args.bin", "images/loss.png", "README.md"):
        put(api, name)
    assert check(files=tuple(ONE), loads=LOADS) == ["me/tiny exists, private"]
    publish(ONE)
    assert verify(api) == ()


def test_file_that_the_release_itself_brings_is_not_foreign(
    publish: Publish, check: Callable[..., list[str]], api: Any
) -> None:
    api.create_repo("me/tiny", private=True)
    put(api, "model.safetensors")
    assert check(files=tuple(ONE), loads=LOADS) == ["me/tiny exists, private"]
    publish(ONE)
    assert names(api) == {*ONE, MANIFEST, GIT}


def test_the_plan_says_what_goes(
    publish: Publish, check: Callable[..., list[str]], api: Any
) -> None:
    publish(ONE)
    told = check(files=tuple(SHARDS), loads=LOADS)
    assert "of the release that is there, chat_template.jinja, model.safetensors go" in told


@pytest.mark.parametrize("text", ["{", '{"files": [{"path": "../x", "size": 1, "sha256": "0"}]}'])
def test_a_manifest_there_that_cannot_be_read_is_refused_by_name(
    publish: Publish, api: Any, text: str
) -> None:
    publish(ONE)
    put(api, MANIFEST, text)
    before = names(api)
    with pytest.raises(RefusedError, match=MANIFEST):
        publish(SHARDS)
    assert names(api) == before


def test_verify_names_what_would_be_loaded_in_place_of_the_release(
    publish: Publish, api: Any
) -> None:
    publish(SHARDS)
    put(api, "model.safetensors")
    put(api, "notes.txt")
    assert [problem.path for problem in verify(api)] == ["model.safetensors"]


def verify(api: Any) -> tuple[Any, ...]:
    from uploader_hf.publishing.verify import verify as step

    found = step(VerifyContext(target="me/tiny", secrets={"HF_TOKEN": api.token}))
    return found.problems
