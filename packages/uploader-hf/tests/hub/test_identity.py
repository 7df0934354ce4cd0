"""A worker that logged in by an identity: what it is given is masked, and replaced in time."""

from __future__ import annotations

from typing import Any

import pytest

from uploader_core.masking import kept_secrets
from uploader_core.plugin import AuthError
from uploader_hf.hub.client import make_api
from uploader_hf.hub.login import outlived

pytest.importorskip("huggingface_hub._oidc", reason="older clients know no identities")

JOB = {"repository": "acme/training", "workflow": "release.yml"}


@pytest.fixture
def job(hub: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a job has that is trusted with ``me/tiny``, with a client that was never asked."""
    from huggingface_hub.utils import _auth

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(_auth, "_OIDC_TOKEN_CACHE", None)
    hub.store.create("me/tiny", private=True)
    hub.identities.trust("me/tiny", **JOB)
    secrets = {**hub.job(**JOB), "HF_OIDC_RESOURCE": "me/tiny"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    return secrets


def test_what_the_client_is_given_is_masked_from_its_first_use(
    hub: Any, job: dict[str, str]
) -> None:
    make_api(job, "me/tiny", timeout=60.0, write=True).repo_info("me/tiny")
    (token,) = hub.identities.given
    assert kept_secrets(f"{token} may not do this") == "[secret] may not do this"


def test_upload_asks_for_the_repository_that_it_goes_to(hub: Any, job: dict[str, str]) -> None:
    elsewhere = {**job, "HF_OIDC_RESOURCE": "me"}
    assert make_api(elsewhere, "me/tiny", timeout=60.0, write=True).repo_info("me/tiny").private
    with pytest.raises(AuthError, match="does not trust this job with me/other"):
        make_api(job, "me/other", timeout=60.0, write=True)


def test_reading_what_trusts_nobody_goes_on_without_a_login(hub: Any, job: dict[str, str]) -> None:
    hub.store.create("you/public", private=False)
    api = make_api(job, "you/public", timeout=60.0)
    assert api.token is False
    assert not api.repo_info("you/public").private


def test_transfer_that_took_longer_than_its_token_is_begun_again(
    hub: Any, job: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.utils import _auth

    api = make_api(job, "me/tiny", timeout=60.0, write=True)
    hub.identities.expire()
    with pytest.raises(OSError, match="401") as failed:
        api.repo_info("me/tiny")
    assert not outlived(failed.value)  # it has no other one
    monkeypatch.setattr(_auth, "_OIDC_TOKEN_CACHE", None)
    assert outlived(failed.value)
