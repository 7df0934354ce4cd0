"""``uploader ci init`` writes pipelines that are YAML, pinned, and hold no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import importlib_metadata
import pytest
import yaml
from click.testing import CliRunner, Result

from uploader_core.api import UploaderError
from uploader_provenance.ci.command import ci

WORKFLOW = Path(".github/workflows/release.yml")
WORDS = ("final_model", "--to", "hf:me/tiny", "--plugins", "lora", "--max-kl", "0.05")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an adapter in it."""
    (tmp_path / "final_model").mkdir()
    (tmp_path / "final_model" / "adapter_config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*words: str) -> Result:
    return CliRunner().invoke(ci, ["init", *words], catch_exceptions=False)


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]["release"]
    return found


def test_job_may_ask_for_its_identity_and_hold_no_secret(repository: Path) -> None:
    assert init(*WORDS).exit_code == 0
    assert job()["permissions"] == {"contents": "read", "id-token": "write"}
    assert job()["env"]["HF_OIDC_RESOURCE"] == "me/tiny"
    assert "secrets." not in WORKFLOW.read_text("utf-8")


def test_actions_are_pinned_by_commit(repository: Path) -> None:
    init(*WORDS)
    actions = [step["uses"] for step in job()["steps"] if "uses" in step]
    assert actions
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in actions)


def test_versions_are_those_that_are_installed(repository: Path) -> None:
    pytest.importorskip("uploader_lora")
    pytest.importorskip("uploader_hf")
    init(*WORDS)
    lines = (repository / "uploader-requirements.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    assert {"uploader-core", "uploader-lora", "uploader-hf", "huggingface-hub"} <= pinned.keys()
    assert "uploader-gguf" not in pinned  # not asked for, and nothing needs it
    assert all(importlib_metadata.version(n) == v for n, v in pinned.items())


def test_only_a_tag_publishes(repository: Path) -> None:
    init(*WORDS)
    for step in job()["steps"]:
        if "--to" in step.get("run", ""):
            assert step["if"] == "github.ref_type == 'tag'"
            assert "--provenance-keyless" in step["run"]
        if "uploader run" in step.get("run", ""):
            assert "--max-kl 0.05" in re.sub(r" \\\n +", " ", step["run"])


def test_gitlab_gets_tokens_for_whom_they_are_meant(repository: Path) -> None:
    assert init(*WORDS, "--provider", "gitlab").exit_code == 0
    release = yaml.safe_load((repository / ".gitlab-ci.yml").read_text("utf-8"))["release"]
    assert release["id_tokens"] == {
        "HF_OIDC_ID_TOKEN": {"aud": "https://huggingface.co"},
        "SIGSTORE_ID_TOKEN": {"aud": "sigstore"},
    }
    assert release["rules"] == [{"if": "$CI_COMMIT_TAG =~ /^v.*$/"}]


def test_file_that_is_there_is_replaced_only_when_told_to(repository: Path) -> None:
    WORKFLOW.parent.mkdir(parents=True)
    WORKFLOW.write_text("mine")
    with pytest.raises(UploaderError, match="is there already"):
        init(*WORDS)
    assert WORKFLOW.read_text() == "mine"
    assert not (repository / "uploader-requirements.txt").exists()
    assert init(*WORDS, "--force").exit_code == 0
    assert job()


@pytest.mark.parametrize("word", ["${{ github.head_ref }}", "a\nb"])
def test_what_the_ci_would_compute_is_refused(repository: Path, word: str) -> None:
    with pytest.raises(UploaderError, match="would be computed"):
        init(word, "--to", "hf:me/tiny")


def test_words_are_quoted_for_the_shell(repository: Path) -> None:
    init("my model; rm x", "--to", "hf:me/tiny")
    run = next(step["run"] for step in job()["steps"] if "uploader run" in step.get("run", ""))
    assert run.startswith("uploader run 'my model; rm x' \\\n")


def test_what_is_missing_is_said_where_nobody_can_be_asked(repository: Path) -> None:
    with pytest.raises(UploaderError, match="--to is missing"):
        init("final_model")


def test_token_of_the_job_is_for_its_own_registry(repository: Path) -> None:
    init("final_model", "--to", "oci:ghcr.io/acme/tiny:v1", "--no-sign")
    assert job()["permissions"]["packages"] == "write"
    with_token = [s["name"] for s in job()["steps"] if "GITHUB_TOKEN" in s.get("env", {})]
    assert with_token == ["Plan", "Sign and publish"]
    assert "HF_OIDC_RESOURCE" not in job()["env"]
