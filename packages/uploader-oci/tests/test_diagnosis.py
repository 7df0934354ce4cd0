"""What ``uploader doctor`` says of registries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uploader_oci.diagnosis import diagnose


def said() -> list[tuple[str, str]]:
    return [(line.level, line.what) for line in diagnose(online=False)]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def test_nobody_is_logged_in() -> None:
    ((level, what),) = said()
    assert (level, what[:5]) == ("warn", "none:")


def test_a_login_by_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPLOADER_OCI_USERNAME", "me")
    monkeypatch.setenv("UPLOADER_OCI_PASSWORD", "right-password")
    assert said() == [("ok", "by UPLOADER_OCI_USERNAME, for every registry")]


def test_hosts_of_docker_and_no_secret(docker: Path) -> None:
    docker.write_text(json.dumps({"auths": {"https://ghcr.io/v2/": {"auth": "bWU6c2VjcmV0"}}}))
    assert said() == [("ok", f"ghcr.io in {docker}")]


def test_a_helper_that_is_not_there(docker: Path) -> None:
    docker.write_text(json.dumps({"credsStore": "nowhere"}))
    ((level, what),) = said()
    assert level == "fail"
    assert "docker-credential-nowhere, which is not on the PATH" in what


def test_a_file_that_cannot_be_read(docker: Path) -> None:
    docker.write_text("{")
    assert said() == [("fail", f"the logins in {docker} cannot be read: no JSON")]
