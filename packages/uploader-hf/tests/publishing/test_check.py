"""What exists x what is wanted x who asks: nothing is sent where it must not be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from loopback_hub import LoopbackHub
from uploader_core.plugin import AuthError, Receipt, RefusedError, UsageError

EXISTING = (None, "private", "public", "gated")


def make(hub: LoopbackHub, api: Any, existing: str | None) -> None:
    if existing is None:
        return
    api.create_repo("me/tiny", private=existing == "private")
    if existing == "gated":
        api.update_repo_settings("me/tiny", gated="auto")


def state(hub: LoopbackHub) -> Any:
    repo = hub.store.repos.get("me/tiny")
    return None if repo is None else (repo.private, repo.gated, len(repo.commits), dict(repo.tags))


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("existing", EXISTING)
@pytest.mark.parametrize("token", ["read", "wrong-scope", "wrong-account", "unknown"])
def test_token_that_may_not_write_sends_nothing(
    check: Callable[..., list[str]],
    upload: Callable[..., Receipt],
    api: Any,
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
    existing: str | None,
    public: bool,
    token: str,
) -> None:
    make(hub, api, existing)
    value = {
        "read": lambda: hub.token("me", role="read"),
        "wrong-scope": lambda: hub.token("me", role="fineGrained", scopes=("me/other",)),
        "wrong-account": lambda: hub.token("you"),
        "unknown": lambda: "hf_nobodyKnowsThisOne",
    }[token]()
    monkeypatch.setenv("HF_TOKEN", value)
    before, sent = state(hub), hub.bytes_received
    for step in (check, upload):
        with pytest.raises(AuthError) as caught:
            step(public=public)
        assert value not in str(caught.value.to_json())
        assert caught.value.next
    assert hub.bytes_received == sent
    assert state(hub) == before


def test_member_of_an_organisation_who_may_only_read_sends_nothing(
    check: Callable[..., list[str]],
    upload: Callable[..., Receipt],
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token("me", read_only=("lab",)))
    for step in (check, upload):
        with pytest.raises(AuthError, match="me may only read in lab"):
            step("lab/tiny")
    assert hub.bytes_received == 0
    assert hub.store.repos == {}


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("existing", EXISTING)
@pytest.mark.parametrize("role", ["write", "fineGrained"])
def test_token_that_may_write_changes_visibility_only_when_asked(
    check: Callable[..., list[str]],
    upload: Callable[..., Receipt],
    api: Any,
    hub: LoopbackHub,
    monkeypatch: pytest.MonkeyPatch,
    existing: str | None,
    public: bool,
    role: str,
) -> None:
    make(hub, api, existing)
    monkeypatch.setenv("HF_TOKEN", hub.token("me", role=role, scopes=("me/tiny",)))
    before, sent = state(hub), hub.bytes_received
    if existing in ("public", "gated") and not public:
        for step in (check, upload):
            with pytest.raises(RefusedError, match="public"):
                step()
        assert hub.bytes_received == sent
        assert state(hub) == before
        return
    check(public=public)
    assert upload(public=public).private is not public
    assert hub.store.repos["me/tiny"].gated == ("auto" if existing == "gated" else False)


def test_release_that_does_not_fit_is_refused_before_anything(
    check: Callable[..., list[str]], hub: LoopbackHub, plan_context: Callable[..., Any]
) -> None:
    from uploader_hf.publishing.check import check as preflight

    context = plan_context(sizes={"gguf": 3 * 10**9}, quota=2.0)
    errors = [finding for finding in preflight(context) if finding.level == "error"]
    assert [e.what.startswith("me stores 0.0 GB in private") for e in errors] == [True]
    assert "--hf-public" in (errors[0].next or "")
    context = plan_context(names={"gguf": (("m-F16.gguf", 600 * 10**9),)})
    errors = [finding for finding in preflight(context) if finding.level == "error"]
    assert "no file above 500 GB" in errors[0].what


@pytest.mark.parametrize(
    ("count", "level"), [(10_000, None), (10_001, "warning"), (100_001, "error")]
)
def test_more_files_than_the_hub_takes(
    hub: LoopbackHub, plan_context: Callable[..., Any], count: int, level: str | None
) -> None:
    from uploader_hf.publishing.check import check as preflight

    files = tuple((f"part-{number}.bin", 1) for number in range(count))
    found = [f for f in preflight(plan_context(names={"acme.parts": files})) if f.level != "note"]
    assert [f.level for f in found] == [level] * (level is not None)
    assert all(f"{count:,} files; the Hub takes 10,000 in a folder" in f.what for f in found)


def test_file_that_is_better_split_is_a_warning(
    hub: LoopbackHub, plan_context: Callable[..., Any]
) -> None:
    from uploader_hf.publishing.check import check as preflight

    context = plan_context(names={"gguf": (("m-F16.gguf", 250 * 10**9),)})
    (warning,) = [f for f in preflight(context) if f.level == "warning"]
    assert "m-F16.gguf will have 250 GB; the Hub asks for files below 200 GB" in warning.what


def test_hub_that_is_full_says_so_and_is_not_asked_again(
    upload: Callable[..., Receipt], hub: LoopbackHub
) -> None:
    hub._state.quota = 1000
    with pytest.raises(AuthError, match="storage limit"):
        upload()
    assert sum("/commit/" in line for line in hub.requests) == 0


@pytest.mark.parametrize("other", [{"revision": "dev"}, {"tag": "v1"}])
def test_pull_request_with_what_does_not_fit_it(
    check: Callable[..., list[str]], hub: LoopbackHub, other: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="--hf-pr"):
        check(pr=True, **other)


def test_pull_request_leaves_main_alone_and_is_found_again(
    upload: Callable[..., Receipt], api: Any, hub: LoopbackHub
) -> None:
    api.create_repo("me/tiny", private=True)
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/tiny")
    first = upload(pr=True)
    assert first.url.endswith("/me/tiny/discussions/1")
    assert upload(pr=True).url == first.url
    repo = hub.store.repos["me/tiny"]
    assert set(repo.resolve("main").files) == {".gitattributes", "notes.txt"}
    assert "config.json" in repo.resolve("refs/pr/1").files
    assert repo.pulls["1"]["status"] == "draft"


@pytest.mark.parametrize(("private", "public"), [(True, True), (False, False)])
def test_pull_request_changes_no_visibility_and_shows_nothing_unasked(
    check: Callable[..., list[str]],
    upload: Callable[..., Receipt],
    api: Any,
    hub: LoopbackHub,
    private: bool,
    public: bool,
) -> None:
    """Everybody sees the pull requests of a public repository."""
    api.create_repo("me/tiny", private=private)
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/tiny")
    before, sent = state(hub), hub.bytes_received
    for step in (check, upload):
        with pytest.raises(RefusedError, match="private" if private else "public"):
            step(pr=True, public=public)
    assert state(hub) == before
    assert hub.bytes_received == sent


def test_pull_request_to_a_public_repository(
    check: Callable[..., list[str]], upload: Callable[..., Receipt], api: Any, hub: LoopbackHub
) -> None:
    api.create_repo("me/tiny", private=False)
    api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="me/tiny")
    assert check(pr=True, public=True) == [
        "me/tiny exists, public; a draft pull request is opened there"
    ]
    assert upload(pr=True, public=True).private is False
    repo = hub.store.repos["me/tiny"]
    assert set(repo.resolve("main").files) == {".gitattributes", "notes.txt"}
    assert repo.pulls["1"]["status"] == "draft"


@pytest.mark.parametrize("public", [False, True])
def test_new_repository_needs_no_pull_request(
    upload: Callable[..., Receipt], api: Any, public: bool
) -> None:
    receipt = upload(pr=True, public=public)
    assert receipt.metadata["branch"] == "main"
    assert receipt.private is not public


def test_tag_on_another_commit_is_not_moved(
    upload: Callable[..., Receipt], api: Any, hub: LoopbackHub
) -> None:
    api.create_repo("me/tiny", private=True)
    api.create_tag("me/tiny", tag="v1")
    before = dict(hub.store.repos["me/tiny"].tags)
    with pytest.raises(RefusedError, match="tag v1 on another commit"):
        upload(tag="v1")
    assert hub.store.repos["me/tiny"].tags == before


def test_repositories_of_a_release_are_joined(
    upload: Callable[..., Receipt], hub: LoopbackHub
) -> None:
    targets = ("me/tiny", "me/tiny-GGUF")
    for target in (*targets, *targets):
        url = upload(target, targets=targets, destination="hf:me/tiny").metadata["collection"]
        assert url is not None
    (collection,) = hub.store.collections.values()
    assert [item["id"] for item in collection["items"]] == list(targets)
    assert collection["private"] is True


def test_single_repository_makes_no_collection(
    upload: Callable[..., Receipt], hub: LoopbackHub
) -> None:
    assert upload().metadata["collection"] is None
    assert hub.store.collections == {}


def test_bytes_that_changed_since_they_were_recorded_are_not_committed(
    upload: Callable[..., Receipt], api: Any, hub: LoopbackHub, release: list[Any]
) -> None:
    """The store refuses them as it refuses to complete an object twice; it is asked, once."""
    weights = release[0]
    content = bytearray(weights.path.read_bytes())
    content[1000] ^= 1
    weights.path.write_bytes(bytes(content))
    with pytest.raises(RefusedError, match=weights.name):
        upload(files=[dataclasses.replace(weights), *release[1:]])
    assert api.list_repo_files("me/tiny") == [".gitattributes"]
    assert sum("/complete" in line for line in hub.requests) == 1
    assert sum("/objects/batch" in line for line in hub.requests) == 2
