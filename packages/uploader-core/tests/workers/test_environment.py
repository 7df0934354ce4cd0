"""What a worker sees of the environment: no credential and no identity that it did not ask for."""

from __future__ import annotations

import pytest

from uploader_core.workers.environment import child_environment, to_be_masked

TOKEN = "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3"
OF_A_CI = {
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "proof-of-a-job",
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://ci.example/identity?v=2",
    "ACTIONS_RUNTIME_TOKEN": "of-the-runner",
    "HF_OIDC_RESOURCE": "me/model",
    "HF_OIDC_ID_TOKEN": TOKEN,
    "SIGSTORE_ID_TOKEN": TOKEN,
    "CI_JOB_JWT_V2": "of-gitlab",
    "CIRCLE_OIDC_TOKEN_V2": "of-circle",
    "BUILDKITE_AGENT_ACCESS_TOKEN": "of-buildkite",
    "BITBUCKET_STEP_OIDC_TOKEN": "of-bitbucket",
    "SYSTEM_OIDCREQUESTURI": "https://azure.example/identity",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/run/token",
    "GOOGLE_GHA_CREDS_PATH": "/run/credentials.json",
    "OF_ANY_NAME": TOKEN,
}
LOGINS = {
    "DOCKER_AUTH_CONFIG": "of-docker",
    "SIGNING_PASSPHRASE": "of-a-key",
    "SMTP_PASS": "of-a-mail-server",
    "GH_PAT": "of-github",
    "NPM_AUTH": "of-npm",
    "CONFIG_OF_ANY_NAME": '{"auths": {"ghcr.io": {"auth": "bWU6cHc="}}}',
    "KEY_IN_ANY_NAME": "\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE",
    "ACCOUNT_IN_ANY_NAME": '{"type": "service_account", "key": "-----BEGIN PRIVATE KEY-----\\n"}',
    "GIT_CONFIG_VALUE_0": "AUTHORIZATION: basic bWU6cHc=",
}
ORDINARY = {
    "PATH": "/bin",
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/training",
    "TOKENIZERS_PARALLELISM": "false",
    "HTTPS_PROXY": "http://user:word@proxy:3128",
    "REGISTRY_AUTH_FILE": "/home/me/auth.json",
    "SSH_AUTH_SOCK": "/run/agent",
    "XAUTHORITY": "/home/me/.Xauthority",
    "GIT_AUTHOR_NAME": "me",
    "GITHUB_PATH": "/runner/path",
}


@pytest.mark.parametrize("network", [False, True], ids=["computes", "asks"])
def test_no_identity_is_seen_by_who_does_not_name_it(network: bool) -> None:
    seen = child_environment({**OF_A_CI, **ORDINARY}, (), network=network)
    assert not OF_A_CI.keys() & seen.keys()
    assert ORDINARY.items() <= seen.items()


@pytest.mark.parametrize("name", LOGINS)
def test_login_is_seen_by_who_names_it_alone(name: str) -> None:
    assert name not in child_environment({**LOGINS, **ORDINARY}, (), network=True)
    seen = child_environment({**LOGINS, **ORDINARY}, (name,), network=True)
    assert LOGINS.keys() & seen.keys() == {name}


def test_identity_is_seen_by_who_names_it_and_no_other_is() -> None:
    named = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL", "HF_OIDC_RESOURCE")
    seen = child_environment({**OF_A_CI, **ORDINARY}, named, network=True)
    assert OF_A_CI.keys() & seen.keys() == {*named}


def test_what_is_masked_is_what_is_secret() -> None:
    named = ("SIGSTORE_ID_TOKEN=OF_ANY_NAME", "HF_OIDC_RESOURCE", "ACTIONS_ID_TOKEN_REQUEST_URL")
    masked = to_be_masked(named, OF_A_CI)
    assert {*masked} == {TOKEN, OF_A_CI["ACTIONS_ID_TOKEN_REQUEST_URL"]}
