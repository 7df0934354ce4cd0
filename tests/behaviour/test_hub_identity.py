"""A job of a CI publishes to the Hub and reads from it by its identity: there is no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CLAIMS = {"repository": "acme/training", "ref": "refs/tags/v1", "workflow": "release.yml"}
REPO = "me/tiny-LoRA"


@pytest.fixture
def ci(hub: Any, uploader: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A job that is trusted with the private ``me/tiny-LoRA``; the command's environment is its."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    hub.store.create(REPO, private=True)
    hub.identities.trust(REPO, repository="acme/training", workflow="release.yml")
    del uploader.environment["HF_TOKEN"]
    uploader.environment |= {
        **hub.job(**CLAIMS),
        "HF_OIDC_RESOURCE": REPO,
        "GITHUB_REPOSITORY": "acme/training",
        "GITHUB_REF": "refs/tags/v1",
        "GITHUB_WORKFLOW_REF": "acme/training/.github/workflows/release.yml@refs/tags/v1",
    }
    return hub


def publish(uploader: Any, source: object, *more: object) -> Any:
    return uploader("run", source, "--plugins", "lora", "--to", "hf:me/tiny", "--yes",
                    "--output", uploader.cwd / "release", *more)  # fmt: skip


def test_release_is_published_and_verified(uploader: Any, fine_tune: Path, ci: Any) -> None:
    assert publish(uploader, fine_tune, "--debug").returncode == 0
    assert uploader("verify", f"hf:{REPO}").returncode == 0
    assert not [line for line in ci.requests if "whoami" in line]  # an identity is no account
    # The repository is given to uploads alone, and is no secret; all else is.
    release = uploader.cwd / "release"
    assert REPO in (release / ".uploader" / "events.jsonl").read_text("utf-8")
    proof = uploader.environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"].encode()
    for path in release.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not any(part in content for part in (b"hf_jwt_", b"eyJ", proof)), path


def test_second_run_sees_that_all_is_there(uploader: Any, fine_tune: Path, ci: Any) -> None:
    assert publish(uploader, fine_tune).returncode == 0
    commits = [line for line in ci.requests if "/commit/" in line]
    assert publish(uploader, fine_tune).returncode == 0
    assert [line for line in ci.requests if "/commit/" in line] == commits


@pytest.mark.slow
def test_token_that_ends_is_replaced(uploader: Any, fine_tune: Path, ci: Any) -> None:
    ci.identities.lifetime, ci.identities.requests = 1, 8  # a call of the client takes that many
    assert publish(uploader, fine_tune).returncode == 0
    assert uploader("verify", f"hf:{REPO}").returncode == 0


def test_private_source_is_read_by_its_own_publisher(
    uploader: Any, fine_tune: Path, ci: Any
) -> None:
    repo = ci.store.create("me/adapter", private=True)
    ci.identities.trust("me/adapter", repository="acme/training")
    put(ci, repo, fine_tune)
    base = fine_tune.parents[1] / "base"
    assert publish(uploader, "me/adapter", "--base", base).returncode == 0


def test_public_source_needs_no_publisher(uploader: Any, fine_tune: Path, ci: Any) -> None:
    put(ci, ci.store.create("me/adapter", private=False), fine_tune)
    base = fine_tune.parents[1] / "base"
    assert publish(uploader, "me/adapter", "--base", base).returncode == 0


@pytest.mark.parametrize("why", ["claims", "audience", "repository"])
def test_job_that_is_not_trusted_is_told_what_to_enter(
    uploader: Any, fine_tune: Path, ci: Any, why: str
) -> None:
    if why == "claims":
        ci.identities.trusted[REPO] = [{"repository": "acme/training", "ref": "refs/heads/main"}]
    elif why == "audience":
        claims = {**CLAIMS, "aud": "https://elsewhere.example", "exp": 1 << 40}
        uploader.environment["HF_OIDC_ID_TOKEN"] = ci.identities.sign(claims)
    else:
        ci.store.delete(REPO)
    ended = publish(uploader, fine_tune)
    assert ended.returncode == 6
    words = " ".join((ended.stdout + ended.stderr).split())
    assert f"the Hub does not trust this job with {REPO}" in words
    assert "repository = acme/training, ref = refs/tags/v1, workflow = release.yml" in words
    assert not (uploader.cwd / "release").exists()


def test_publisher_for_reading_only_is_named(uploader: Any, fine_tune: Path, ci: Any) -> None:
    from loopback_hub import Fault

    ci.faults.add(Fault("refuse", "/auth-check/write", status=403))
    ended = publish(uploader, fine_tune)
    assert ended.returncode == 6
    assert "Read-only" in (ended.stdout + ended.stderr)


def test_job_without_identity_is_told_which_permission(
    uploader: Any, fine_tune: Path, ci: Any
) -> None:
    del uploader.environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]
    ended = publish(uploader, fine_tune)
    assert ended.returncode == 6
    assert "permissions: id-token: write" in " ".join((ended.stdout + ended.stderr).split())


def test_token_that_is_quoted_back_is_seen_nowhere(uploader: Any, fine_tune: Path, ci: Any) -> None:
    from loopback_hub import Fault

    said = {"X-Error-Message": "{token} may not do this"}
    ci.faults.add(Fault("refuse", "POST .*/commit/", status=403, times=99, headers=said))
    ended = publish(uploader, fine_tune, "--debug")
    assert ended.returncode in (3, 6)
    written = [p.read_text("utf-8", "replace") for p in uploader.cwd.rglob("*") if p.is_file()]
    for text in (ended.stdout, ended.stderr, *written):
        assert "hf_jwt_" not in text
        assert not any(part in text for token in ci.identities.given for part in token.split("."))


def put(hub: Any, repo: Any, folder: Path) -> None:
    """Put a folder into a repository."""
    from huggingface_hub import CommitOperationAdd, HfApi

    files = [path for path in folder.iterdir() if path.name != "README.md"]
    HfApi(endpoint=hub.url, token=hub.token("me")).create_commit(
        repo.id,
        [CommitOperationAdd(path.name, path.read_bytes()) for path in files],
        commit_message="x",
    )
