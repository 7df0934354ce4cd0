"""The unmodified client logs in by the identity of a CI's job."""

from __future__ import annotations

from typing import Any

import pytest

from loopback_hub import LoopbackHub

pytest.importorskip("huggingface_hub._oidc", reason="older clients know no identities")

JOB = {"repository": "acme/training", "ref": "refs/tags/v1", "workflow": "release.yml"}


@pytest.fixture
def job(hub: LoopbackHub, api: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client without a token, in a job that is trusted with the private ``me/model``."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import _auth

    api.create_repo("me/model", private=True)
    api.create_repo("me/other", private=True)
    hub.identities.trust("me/model", repository="acme/training", workflow="release.yml")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(_auth, "_OIDC_TOKEN_CACHE", None)
    for name, value in {**hub.job(**JOB), "HF_OIDC_RESOURCE": "me/model"}.items():
        monkeypatch.setenv(name, value)
    return HfApi(endpoint=hub.url)


def test_trusted_job_writes_to_its_repository(job: Any) -> None:
    job.upload_file(path_or_fileobj=b"x", path_in_repo="config.json", repo_id="me/model")
    assert "config.json" in job.list_repo_files("me/model")


def test_token_is_for_no_other_repository(job: Any) -> None:
    from huggingface_hub.errors import RepositoryNotFoundError

    with pytest.raises(RepositoryNotFoundError):
        job.repo_info("me/other")


def test_client_looks_for_a_new_token_when_the_last_one_is_old(hub: LoopbackHub, job: Any) -> None:
    # It asks five minutes before the end.
    hub.identities.lifetime, hub.identities.requests = 300, 1
    for _ in range(3):
        job.repo_info("me/model")
    assert hub.requests.count("POST /oauth/token") == 3


@pytest.mark.parametrize(
    "change",
    [
        {"HF_OIDC_RESOURCE": "me/other"},
        {"HF_OIDC_RESOURCE": "me/nothing"},
        {"HF_OIDC_ID_TOKEN": "eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmVkIGJ5IG5vYm9keQ"},
    ],
    ids=["not-trusted", "not-there", "signed-by-nobody"],
)
def test_refusal_does_not_say_which_check_failed(
    job: Any, change: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import BadRequestError

    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadRequestError, match="Token exchange was refused"):
        job.repo_info("me/model")


def test_other_audience_is_refused(
    hub: LoopbackHub, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub._oidc import get_oidc_token
    from huggingface_hub.errors import BadRequestError

    monkeypatch.setenv("HF_OIDC_ID_TOKEN", get_oidc_token(audience="https://elsewhere.example"))
    with pytest.raises(BadRequestError):
        job.repo_info("me/model")


def test_account_lends_its_rights_to_gated_models_only(
    hub: LoopbackHub, api: Any, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import RepositoryNotFoundError

    repo = hub.store.create("acme/gated", private=False)
    repo.gated, repo.accepted = "auto", ["me"]
    hub.identities.trust("me", repository="acme/training")
    monkeypatch.setenv("HF_OIDC_RESOURCE", "me")
    assert job.hf_hub_download("acme/gated", ".gitattributes")
    with pytest.raises(RepositoryNotFoundError):
        job.repo_info("me/model")
