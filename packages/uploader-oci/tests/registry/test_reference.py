"""Names in registries: what is read, and which rule an error names."""

from __future__ import annotations

import pytest

from uploader_core.plugin import UsageError
from uploader_oci.registry.reference import is_loopback, parse_reference, suggest_tag

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("ghcr.io/me/model", "ghcr.io", "me/model", "latest", ""),
        ("ghcr.io/me/model:v1.0-Q4_K_M", "ghcr.io", "me/model", "v1.0-Q4_K_M", ""),
        ("localhost/model:x", "localhost", "model", "x", ""),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000", "a/b/c", "latest", ""),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest", ""),
        (f"ghcr.io/me/model@{DIGEST}", "ghcr.io", "me/model", "", DIGEST),
        (f"ghcr.io/me/model:v1@{DIGEST}", "ghcr.io", "me/model", "v1", DIGEST),
        ("docker.io/me/my__model", "docker.io", "me/my__model", "latest", ""),
        ("docker.io/model", "docker.io", "library/model", "latest", ""),
    ],
)
def test_a_reference_is_read(text: str, host: str, repository: str, tag: str, digest: str) -> None:
    found = parse_reference(text)
    assert (found.host, found.repository, found.tag, found.digest) == (
        host, repository, tag, digest,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "rule", "instead"),
    [
        ("my-model", "no repository", "oci:HOST/"),
        ("me/my-model", "no host", "oci:docker.io/me/my-model"),
        ("h.example:99999/me/m:v1", "the port 99999", "oci:h.example/me/m:v1"),
        ("ghcr.io/Me/Model", "upper case in 'Me'", "oci:ghcr.io/me/model"),
        ("ghcr.io/me/my model", "other characters", "oci:ghcr.io/me/my-model"),
        ("https://ghcr.io/me/model:v1", "begins with https://", "oci:ghcr.io/me/model:v1"),
        ("ghcr.io/me//model", "empty part", "oci:ghcr.io/me/model"),
        ("ghcr.io/me/-model", "begins or ends with a separator", "oci:ghcr.io/me/model"),
        ("ghcr.io/me/my..model", "two dots", "oci:ghcr.io/me/my-model"),
        ("ghcr.io/" + "a" * 300, "characters, and registries take 255", "shorter"),
        ("ghcr.io/me/model:", "is empty", "latest"),
        ("ghcr.io/me/model:.hidden", "begins with a dot", "hidden"),
        ("ghcr.io/me/model:" + "x" * 129, "129 characters", "x"),
        ("ghcr.io/me/model@sha256:abc", "64 digits", "oci:ghcr.io/me/model"),
    ],
)
def test_an_error_names_the_rule_and_a_name_that_keeps_it(
    text: str, rule: str, instead: str
) -> None:
    with pytest.raises(UsageError) as error:
        parse_reference(text)
    assert rule in error.value.what
    assert instead in str(error.value.next)


def test_what_is_this_machine() -> None:
    mine = ("localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:80", "x.localhost")
    assert all(map(is_loopback, mine))
    others = ("localhost.example.org", "10.0.0.1:5000", "registry", "127.0.0.1.example.org")
    assert not any(map(is_loopback, others))


def test_docker_hub_answers_under_another_name() -> None:
    assert parse_reference("docker.io/me/model").api_host == "registry-1.docker.io"
    assert parse_reference("ghcr.io/me/model").api_host == "ghcr.io"


def test_a_tag_is_made_of_any_text() -> None:
    assert suggest_tag("my model (v1)") == "my-model-v1-"
    assert suggest_tag("..") == "latest"
