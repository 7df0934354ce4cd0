"""Signing with a job's identity, as far as it can be seen without Sigstore's public log."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback_server import QuietHandler, serving
from uploader_core.plugin import AuthError, TemporaryError
from uploader_provenance.signing import keyless

WORKFLOW = "repo:me/model:ref:refs/tags/v1"
REQUEST = "request-token-0123456789"


def token_for(audience: str) -> str:
    """Return what a CI would sign; Sigstore's client looks at the claims alone."""
    now = int(time.time())
    claims = {
        "iss": "https://token.actions.githubusercontent.com",
        "aud": audience,
        "sub": WORKFLOW,
        "iat": now,
        "nbf": now,
        "exp": now + 300,
    }
    parts = [{"alg": "RS256", "typ": "JWT"}, claims]
    encoded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*encoded, base64.urlsafe_b64encode(b"signature").decode().rstrip("=")])


class Identities(QuietHandler):
    """GitHub's server of identities, which knows a job by the token of its request."""

    def do_GET(self) -> None:
        audience = self.path.partition("audience=")[2]
        knows = self.headers["Authorization"] == f"bearer {REQUEST}"
        self.send_response(200 if knows else 403)
        self.end_headers()
        self.wfile.write(json.dumps({"value": token_for(audience)} if knows else {}).encode())


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A job of GitHub with the right to an identity."""
    with serving(Identities) as url:
        for name, value in {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST,
        }.items():
            monkeypatch.setenv(name, value)
        yield


def test_a_job_gets_an_identity_for_sigstore(job: None) -> None:
    assert keyless.identity().identity == WORKFLOW


def test_a_job_that_the_ci_refuses_is_told_what_to_write(
    job: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-another-job-0123456789")
    with pytest.raises(AuthError, match="cannot prove who it is: GitHub: .*code=403") as caught:
        keyless.identity()
    assert "id-token: write" in str(caught.value.next)
    assert "of-another-job" not in str(caught.value.to_json())


def test_no_sigstore_is_a_fault_that_may_pass(job: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # where nobody listens
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(TemporaryError, match="Sigstore did not sign"), keyless.keyless_signer():
        pass


@pytest.fixture(autouse=True)
def no_machine_of_google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google's machines have an identity of their own."""
    monkeypatch.setattr(keyless, "_PRODUCT", tmp_path / "product_name")


@pytest.mark.parametrize(
    ("environment", "secrets", "advice"),
    [
        ({}, {}, "sign with a key: --provenance-key FILE"),
        ({"GITHUB_ACTIONS": "true"}, {}, "id-token: write"),
        ({"GITLAB_CI": "true"}, {}, "SIGSTORE_ID_TOKEN: {aud: sigstore}"),
        ({"BUILDKITE": "true"}, {}, "BUILDKITE_AGENT_ACCESS_TOKEN is not set"),
    ],
)
def test_a_plan_says_why_there_is_no_identity(
    environment: dict[str, str], secrets: dict[str, str], advice: str
) -> None:
    (found,) = keyless.examine(environment, secrets)
    assert found.level == "error" and advice in str(found.next)


@pytest.mark.parametrize(
    ("environment", "secrets"),
    [
        (
            {"GITHUB_ACTIONS": "true"},
            {"ACTIONS_ID_TOKEN_REQUEST_URL": "u", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t"},
        ),
        ({"GITLAB_CI": "true"}, {"SIGSTORE_ID_TOKEN": "t"}),
        ({"BUILDKITE": "true"}, {"BUILDKITE_AGENT_ACCESS_TOKEN": "t"}),
        ({"CIRCLECI": "true"}, {}),
    ],
)
def test_a_plan_says_nothing_where_there_is_one(
    environment: dict[str, str], secrets: dict[str, str]
) -> None:
    assert [*keyless.examine(environment, secrets)] == []


def test_who_signs_with_a_key_is_shown_no_identity() -> None:
    from uploader_provenance.plugin import uploader_documenters

    seen = {spec.name: {*spec.secrets} for spec in uploader_documenters() if spec.secrets}
    assert seen.keys() == {"signature", "keyless-signature"}
    assert not seen["signature"] & seen["keyless-signature"]
