"""Where a login comes from, and what is said when it cannot be had."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from uploader_core.masking import kept_secrets
from uploader_core.plugin import AuthError
from uploader_oci.registry.credentials import find_credentials
from uploader_oci.registry.helpers import ask_helper


def auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write docker's config.json."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))

    def write(config: Any) -> Path:
        path = tmp_path / "docker" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        return path

    return write


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a credential helper on the PATH: the body of a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, body: str) -> None:
        path = folder / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    return write


def test_nobody_is_logged_in() -> None:
    assert find_credentials("ghcr.io", secrets={}) is None


def test_what_a_file_or_a_variable_of_docker_holds_is_masked(docker: Any) -> None:
    docker({"auths": {"ghcr.io": auth("me", "password-of-a-file")}})
    find_credentials("ghcr.io", secrets={})
    config = json.dumps({"auths": {"quay.io": {"identitytoken": "token-of-a-variable"}}})
    find_credentials("quay.io", secrets={"DOCKER_AUTH_CONFIG": config})
    told = ("password-of-a-file", auth("me", "password-of-a-file")["auth"], "token-of-a-variable")
    for text in told:
        assert kept_secrets(f"Authorization: {text}") == "Authorization: [secret]"


def test_variables_count_first(docker: Any) -> None:
    docker({"auths": {"ghcr.io": auth("file", "x")}})
    secrets = {"UPLOADER_OCI_USERNAME": "me", "UPLOADER_OCI_PASSWORD": "pw"}
    found = find_credentials("ghcr.io", secrets=secrets)
    assert found is not None
    assert found.username == "me"


def test_half_a_login_is_refused() -> None:
    with pytest.raises(AuthError, match="UPLOADER_OCI_PASSWORD is not"):
        find_credentials("ghcr.io", secrets={"UPLOADER_OCI_USERNAME": "me"})


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io", "https://ghcr.io/v2/"])
def test_docker_wrote_a_login(docker: Any, key: str) -> None:
    docker({"auths": {key: auth("me", "p:w")}})
    found = find_credentials("ghcr.io", secrets={})
    assert found is not None
    assert (found.username, found.password) == ("me", "p:w")


def test_docker_hub_has_a_key_of_its_own(docker: Any) -> None:
    docker({"auths": {"https://index.docker.io/v1/": auth("me", "pw")}})
    found = find_credentials("docker.io", secrets={})
    assert found is not None
    assert found.username == "me"


def test_the_login_of_a_part_of_a_registry_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"r.io": auth("all", "x"), "r.io/team": auth("t", "x")}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    found = find_credentials("r.io", "team/model", secrets={})
    other = find_credentials("r.io", "others/model", secrets={})
    assert found is not None
    assert other is not None
    assert (found.username, other.username) == ("t", "all")


def test_the_text_of_a_config_is_a_secret_of_its_own() -> None:
    text = json.dumps({"auths": {"r.io": auth("ci", "job-token")}})
    found = find_credentials("r.io", secrets={"DOCKER_AUTH_CONFIG": text})
    assert found is not None
    assert found.username == "ci"
    assert "job-token" not in repr(found)


def test_a_helper_is_asked_and_gets_no_secret_of_ours(
    docker: Any, helper: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", "a secret of ours")
    docker({"credHelpers": {"r.io": "mine"}})
    helper(
        "mine",
        f'cat > "{tmp_path}/asked"; env > "{tmp_path}/env"; '
        """echo '{"ServerURL": "r.io", "Username": "me", "Secret": "s3cret"}'""",
    )
    found = find_credentials("r.io", secrets={})
    assert found is not None
    assert (found.username, found.password) == ("me", "s3cret")
    assert (tmp_path / "asked").read_text() == "r.io"
    assert "a secret of ours" not in (tmp_path / "env").read_text()


def test_a_store_that_knows_no_login_is_no_error(docker: Any, helper: Any) -> None:
    docker({"credsStore": "mine"})
    helper("mine", "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1")
    assert find_credentials("r.io", secrets={}) is None


def test_an_identity_token_of_a_store(docker: Any, helper: Any) -> None:
    docker({"credsStore": "mine", "auths": {"r.io": {}}})
    helper("mine", """cat >/dev/null; echo '{"Username": "<token>", "Secret": "refresh-me"}'""")
    found = find_credentials("r.io", secrets={})
    assert found is not None
    assert found.identity_token == "refresh-me"
    assert found.basic is None


@pytest.mark.parametrize(
    ("body", "limit", "why"),
    [
        ("cat >/dev/null; echo secret; exit 3", 60.0, "ended with 3"),
        ("cat >/dev/null; echo secret", 60.0, "something else than a login"),
        ("cat >/dev/null; exec sleep 600", 0.3, "did not answer in"),
    ],
)
def test_a_helper_that_fails_is_named_and_not_quoted(
    helper: Any, body: str, limit: float, why: str
) -> None:
    helper("mine", body)
    with pytest.raises(AuthError, match=why) as error:
        ask_helper("mine", "r.io", limit=limit)
    assert "docker-credential-mine" in error.value.what
    assert "secret" not in error.value.what


def test_a_helper_that_is_not_there(docker: Any) -> None:
    docker({"credsStore": "nowhere"})
    with pytest.raises(AuthError, match="not on the PATH"):
        find_credentials("r.io", secrets={})


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"r.io": {"auth": "%%"}}}'])
def test_a_file_that_cannot_be_read_is_named(docker: Any, text: str) -> None:
    path = docker(text)
    with pytest.raises(AuthError) as error:
        find_credentials("r.io", secrets={})
    assert error.value.owner == str(path)


@pytest.mark.parametrize(
    ("host", "variable"), [("ghcr.io", "GITHUB_TOKEN"), ("lab:5050", "CI_REGISTRY_PASSWORD")]
)
def test_job_of_a_ci_is_logged_in_to_its_own_registry_alone(
    host: str, variable: str, docker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    monkeypatch.setenv("CI_REGISTRY", "lab:5050")
    monkeypatch.setenv("CI_REGISTRY_USER", "gitlab-ci-token")
    secrets = {variable: "of-this-job"}
    found = find_credentials(host, secrets=secrets)
    assert found is not None
    assert found.password == "of-this-job"
    assert find_credentials("quay.io", secrets=secrets) is None
    docker({"auths": {host: auth("file", "x")}})
    assert getattr(find_credentials(host, secrets=secrets), "username", "") == "file"
