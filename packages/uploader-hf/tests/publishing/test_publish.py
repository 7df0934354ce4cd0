"""Publishing: it arrived, all of it, once, private unless asked otherwise."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loopback_hub import Fault, LoopbackHub, Rate
from uploader_core.plugin import (
    AuthError,
    CancelledError,
    IntegrityError,
    Receipt,
    RefusedError,
    TemporaryError,
    UploadFile,
)

Upload = Callable[..., Receipt]


def commits(api: Any, repo: str = "me/tiny") -> list[str]:
    titles = [commit.title for commit in api.list_repo_commits(repo)]
    return [title for title in titles if title != "initial commit"]


def test_everything_arrives_in_one_private_commit(
    upload: Upload, api: Any, release: list[UploadFile], tmp_path: Path
) -> None:
    receipt = upload()
    assert receipt.private is True
    assert receipt.files == 4
    assert commits(api) == ["Release by uploader"]
    assert receipt.revision == api.repo_info("me/tiny").sha
    folder = Path(api.snapshot_download("me/tiny", cache_dir=tmp_path / "cache"))
    for file in release:
        assert (folder / file.name).read_bytes() == file.path.read_bytes()


def test_second_upload_sends_nothing_and_commits_nothing(upload: Upload, api: Any) -> None:
    upload()
    receipt = upload()
    assert receipt.bytes_sent == 0
    assert len(commits(api)) == 1


def test_weights_that_arrived_are_not_even_read_again(
    upload: Upload, release: list[UploadFile], api: Any
) -> None:
    upload()
    for file in release[:2]:
        file.path.unlink()
    assert upload().bytes_sent == 0
    assert len(commits(api)) == 1


def test_each_phase_is_shown(upload: Upload) -> None:
    seen: list[str] = []

    def on_progress(what: str, done: int, total: int | None, unit: str) -> None:
        seen.append(what.split(" ")[0].rstrip(":"))

    upload(on_progress=on_progress)
    assert list(dict.fromkeys(seen)) == [
        "comparing",
        "asking",
        "sending",
        "committing",
        "verifying",
    ]


def test_only_what_changed_is_sent(
    upload: Upload, api: Any, release: list[UploadFile], hub: LoopbackHub
) -> None:
    upload()
    small = release[1]
    small.path.write_bytes(b"other")
    digest = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
    changed = dataclasses.replace(small, sha256=digest)
    before = hub.bytes_received
    assert upload(files=[release[0], changed, *release[2:]]).bytes_sent == 5
    assert hub.bytes_received - before < 10_000
    assert len(commits(api)) == 2


def test_files_of_others_are_left_alone(upload: Upload, api: Any) -> None:
    api.create_repo("me/tiny", private=True)
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/tiny")
    upload()
    assert "notes.txt" in api.list_repo_files("me/tiny")


def test_files_of_others_beside_a_signature_are_said(
    upload: Upload, api: Any, release: list[UploadFile], caplog: pytest.LogCaptureFixture
) -> None:
    """A signature is over everything that is there, and nobody has signed these."""
    api.create_repo("me/tiny", private=True)
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/tiny")
    upload()
    assert "notes.txt" not in caplog.text
    upload(files=[*release, dataclasses.replace(release[-1], name="model.sig")])
    assert "does not hold until they are removed: notes.txt" in caplog.text


def test_public_is_flipped_last_and_read_back(upload: Upload, api: Any, hub: LoopbackHub) -> None:
    receipt = upload(public=True)
    assert receipt.private is False
    lines = [line.split("?")[0] for line in hub.requests]
    commit = next(n for n, line in enumerate(lines) if "/commit/main" in line)
    flip = next(n for n, line in enumerate(lines) if line.endswith("/settings"))
    assert flip > commit


@pytest.mark.parametrize("wanted_public", [False, True])
@pytest.mark.parametrize("existing", [None, "private", "public"])
def test_state_table(
    upload: Upload, api: Any, hub: LoopbackHub, existing: str | None, wanted_public: bool
) -> None:
    if existing is not None:
        api.create_repo("me/tiny", private=existing == "private")
    if existing == "public" and not wanted_public:
        before = hub.bytes_received
        with pytest.raises(RefusedError, match="public") as caught:
            upload()
        assert "--hf-public" in (caught.value.next or "")
        assert hub.bytes_received == before
        assert commits(api) == []
    else:
        assert upload(public=wanted_public).private is not wanted_public


@pytest.mark.parametrize(
    "fault",
    [
        Fault("lose", r"POST .*/commit/"),
        Fault("refuse", r"POST .*/commit/", status=409),
        Fault("refuse", r"POST .*/commit/", status=412),
        Fault("refuse", r"POST .*/commit/", status=429, headers={"Retry-After": "1"}),
        Fault("refuse", r"POST .*/commit/", status=504),
        Fault("refuse", r"PUT /_lfs/", status=500, times=2),
        Fault("drop", r"PUT /_lfs/", after=1000),
        Fault("stall", r"POST .*/commit/", seconds=4),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.path[:8]}",
)
def test_fault_ends_in_exactly_one_commit(
    upload: Upload, api: Any, hub: LoopbackHub, fault: Fault
) -> None:
    hub.faults.add(fault)
    settings = {"timeout": 2.0} if fault.kind == "stall" else {}
    assert upload(**settings).files == 4
    assert commits(api) == ["Release by uploader"]


def test_transfer_that_the_client_gives_up_is_begun_anew(
    upload: Upload, api: Any, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves a stream where the last attempt stopped reading."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.faults.add(Fault("refuse", r"PUT /_lfs/\w+$", status=503, times=8))
    assert upload().files == 4
    assert commits(api) == ["Release by uploader"]


def test_refused_commit_is_not_repeated(upload: Upload, hub: LoopbackHub) -> None:
    hub.faults.add(Fault("refuse", r"POST .*/commit/", status=403, times=9))
    with pytest.raises(AuthError):
        upload()
    assert sum("/commit/main" in line for line in hub.requests) == 1


def test_main_shows_nothing_of_an_upload_that_failed(
    upload: Upload, api: Any, hub: LoopbackHub
) -> None:
    hub.faults.add(Fault("refuse", r"PUT /_lfs/", status=403, times=99))
    with pytest.raises((AuthError, RefusedError, TemporaryError)):
        upload()
    assert api.list_repo_files("me/tiny") == [".gitattributes"]


def test_hub_that_lists_another_digest_is_not_believed(
    upload: Upload, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loopback_hub.store import Entry, Store

    honest = Store.add_commit

    def lie(self: Store, repo: Any, branch: str, title: str, text: str, files: Any) -> Any:
        files = {
            name: Entry("0" * 64, e.size, e.oid, lfs=True) if name.endswith("2.safetensors") else e
            for name, e in files.items()
        }
        return honest(self, repo, branch, title, text, files)

    monkeypatch.setattr(Store, "add_commit", lie)
    with pytest.raises(IntegrityError, match="model-00002"):
        upload()


def test_branch_is_made_and_receives_the_commit(upload: Upload, api: Any) -> None:
    upload(revision="v2")
    assert api.list_repo_files("me/tiny") == [".gitattributes"]
    assert "config.json" in api.list_repo_files("me/tiny", revision="v2")


def test_server_remembers_after_a_restart(upload: Upload, hub: LoopbackHub, tmp_path: Path) -> None:
    upload()
    with LoopbackHub(tmp_path / "hub") as again:
        assert set(again.store.repos) == {"me/tiny"}
        assert "config.json" in again.store.repos["me/tiny"].resolve("main").files


def test_preflight_names_account_and_visibility(check: Callable[..., list[str]], hub: Any) -> None:
    assert check() == ["me/tiny will be made, private, by me"]


def test_preflight_refuses_a_foreign_owner(check: Callable[..., list[str]], hub: Any) -> None:
    with pytest.raises(AuthError, match="belongs to you") as caught:
        check("you/tiny")
    assert "hf:me/tiny" in (caught.value.next or "")


def test_preflight_takes_an_organisation(
    check: Callable[..., list[str]], hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token("me", organisations=("lab",)))
    assert "lab/tiny" in check("lab/tiny")[0]


@pytest.mark.parametrize("kind", ["none", "wrong", "read"])
def test_preflight_refuses_tokens_that_cannot_write(
    check: Callable[..., list[str]],
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    if kind == "none":
        monkeypatch.delenv("HF_TOKEN")
    else:
        token = "hf_canary1234567890" if kind == "wrong" else hub.token("me", role="read")
        monkeypatch.setenv("HF_TOKEN", token)
    secret = os.environ.get("HF_TOKEN", "no token at all")
    with pytest.raises(AuthError) as caught:
        check()
    assert secret not in str(caught.value.to_json())
    assert caught.value.next


@pytest.mark.parametrize("ending", ["\n", "\r\n", " "])
def test_white_space_around_a_token_is_not_part_of_it(
    check: Callable[..., list[str]], hub: Any, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", os.environ["HF_TOKEN"] + ending)
    assert check() == ["me/tiny will be made, private, by me"]


@pytest.mark.parametrize("token", ["selfhosted\rcanary", "canary-é", "two canaries"])
def test_token_that_no_header_can_carry_is_not_quoted(
    check: Callable[..., list[str]], hub: Any, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(AuthError) as caught:
        check()
    assert "canar" not in str(caught.value.to_json())


def test_token_in_a_servers_words_is_masked(
    upload: Upload, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of another hub need not begin with ``hf_``."""
    hub.know("canary-of-another-hub", "me")
    monkeypatch.setenv("HF_TOKEN", "canary-of-another-hub")
    said = {"X-Error-Message": "canary-of-another-hub may not do this"}
    hub.faults.add(Fault("refuse", r"POST .*/commit/", status=403, headers=said))
    with pytest.raises(AuthError, match="may not do this") as caught:
        upload()
    assert "canary" not in str(caught.value.to_json())


def test_object_that_the_hub_has_already_is_not_sent(
    upload: Upload, hub: LoopbackHub, release: list[UploadFile]
) -> None:
    upload("me/first")
    before = hub.bytes_received
    receipt = upload("me/second")
    assert receipt.bytes_sent == sum(f.size for f in release if f.name.endswith((".json", ".md")))
    assert hub.bytes_received - before < 10_000


@pytest.mark.parametrize("size", [5, 300_000, 2_500_000])
def test_files_of_one_content_are_sent_once(
    upload: Upload, hub: LoopbackHub, release: list[UploadFile], size: int
) -> None:
    """As the tokenizer, the licence and the picture in every folder of one repository."""
    content = os.urandom(size)
    release[0].path.write_bytes(content)
    first = dataclasses.replace(
        release[0], size=size, sha256=hashlib.sha256(content).hexdigest(), name="a/x.png"
    )
    same = [first, *(dataclasses.replace(first, name=f"{folder}/x.png") for folder in "bcdef")]
    before = hub.bytes_received
    receipt = upload(files=[*same, *release[1:]])
    assert hub.bytes_received - before < size + 20_000
    assert receipt.bytes_sent < size + 1000
    files = hub.store.repos["me/tiny"].resolve("main").files
    assert {files[file.name].sha256 for file in same} == {first.sha256}


def test_what_is_sent_again_is_reported(
    upload: Upload, hub: LoopbackHub, release: list[UploadFile]
) -> None:
    """The objects are kept when the commit is refused; what stands in the commit goes twice."""
    hub.faults.add(Fault("refuse", r"POST .*/commit/", status=503))
    small = sum(f.size for f in release if f.name.endswith((".json", ".md")))
    assert upload().bytes_sent == sum(f.size for f in release) + small


def test_stopping_in_the_middle_is_no_failure(upload: Upload, api: Any, hub: LoopbackHub) -> None:
    def parts_arrived() -> bool:
        return any("/part/1" in line for line in hub.requests)

    with pytest.raises(CancelledError):
        upload(on_cancelled=parts_arrived)
    assert commits(api) == []


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "7"}, {"RateLimit": '"api";r=0;t=7'}], ids=lambda h: next(iter(h))
)
def test_wait_is_as_long_as_the_hub_says_and_visible(
    upload: Upload,
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
) -> None:
    waited: list[float] = []
    said: list[str] = []
    monkeypatch.setattr("uploader_hf.hub.patience.time.sleep", waited.append)
    hub.faults.add(Fault("refuse", r"POST .*/commit/", status=429, headers=headers))
    upload(on_progress=lambda what, *_: said.append(what))
    assert sum(waited) == 7
    assert "me/tiny: trying again in 7 s" in said


def test_account_that_asks_too_often_waits_until_it_may_go_on(
    upload: Upload, api: Any, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, said = [0.0], []
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))
    hub.rates.clock = lambda: now[0]
    hub.rates.rates = (Rate(count=5, seconds=60),)
    upload(on_progress=lambda what, *_: said.append(what))
    assert commits(api) == ["Release by uploader"]
    assert "me/tiny: trying again in 60 s" in said
    assert len(hub.requests) < 30


def test_commits_of_an_hour_are_used_up(
    upload: Upload, hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits as long as the Hub says, but not for ever, and what arrived is kept."""
    now = [0.0]
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))
    hub.rates.clock = lambda: now[0]
    hub.rates.rates = (Rate(count=0, seconds=1e9, path="POST .*/commit/"),)
    with pytest.raises(TemporaryError, match="rate limited") as caught:
        upload()
    assert caught.value.next == "run the same command again in a few minutes"
    hub.rates.rates = ()
    before = hub.bytes_received
    upload()
    assert hub.bytes_received - before < 10_000


def test_hub_without_error_codes(upload: Upload, hub: LoopbackHub) -> None:
    """Not every self-hosted hub sends ``X-Error-Code`` with its 404."""
    hub.faults.add(Fault("refuse", r"GET /api/models/me/tiny$", status=404))
    assert upload().files == 4
