"""Secrets in text files that would go up: file and line are named, the value is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from uploader_core.plugin import (
    RefusedError,
    UploadFile,
    find_secrets,
    refuse_secrets,
    secrets_in_sources,
)

# Put together here, so that no scanner of this repository takes them for real ones.
SECRETS = {
    "Hugging Face": "hf" + "_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "GitHub": "ghp" + "_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2",
    "GitHub fine-grained": "github" + "_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz0123456789",
    "GitLab": "glpat" + "-AbCdEf0123456789xYzQ",
    "AWS": "AKIA" + "IOSFODNN7EXAMPL3",
    "AWS secret": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "OpenAI": "sk" + "-proj-AbCdEf0123456789GhIjKlMnOp",
    "Anthropic": "sk" + "-ant-api03-AbCdEf0123456789GhIjKlMnOp",
    "Slack": "xoxb" + "-123456789012-AbCdEfGhIjKl",
    "Google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "Stripe": "sk" + "_live_AbCdEf0123456789GhIjKlMn",
    "npm": "npm" + "_AbCdEf0123456789GhIjKlMnOpQrStUvWxYz",
    "wandb": "WANDB_API_KEY=" + "0123456789abcdef0123456789abcdef01234567",
    "private key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "address": "postgres://alice:" + "correct-horse@db.example.org/runs",
    "token of the web": "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3",
}


def text_file(folder: Path, name: str, text: str) -> UploadFile:
    path = folder / name
    path.write_text(text)
    size = path.stat().st_size
    return UploadFile(name=name, path=path, size=size, sha256="0" * 64, role="config", kind="x")


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("name", ["README.md", "config.json", "train.ipynb", "chat_template.jinja"])
def test_secret_is_found_with_its_line(tmp_path: Path, kind: str, name: str) -> None:
    secret = SECRETS[kind]
    line = json.dumps({"source": [f"x = {secret}\n"]}) if name.endswith("b") else f"key: {secret}"
    leaks = list(find_secrets(text_file(tmp_path, name, f"one\ntwo\n{line}\n")))
    assert {leak.line for leak in leaks} == {3}
    assert all(secret[5:] not in leak.masked for leak in leaks)


@pytest.mark.parametrize(
    "text",
    [
        "export HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 1c29aa2e23cd5a1a6a38d06b8c8b4fd4f5e9c1a7",
        "see https://huggingface.co/docs/hub/model-cards#hf_hub_download",
        "from huggingface_hub.hf_api import HfApi",
        "AKIA is how the keys of AWS begin, ghp_ those of GitHub, sk- those of OpenAI",
        '"task-specific-configuration-of-a-summariser-model": true',
        "https://user:password@example.org is no way to log in"[:0] + "http://localhost:8000/v1",
    ],
)
def test_ordinary_text_is_no_secret(tmp_path: Path, text: str) -> None:
    assert list(find_secrets(text_file(tmp_path, "README.md", text))) == []


def test_what_is_no_secret_goes_through_by_its_fingerprint(tmp_path: Path) -> None:
    file = text_file(tmp_path, "README.md", SECRETS["AWS"])
    (leak,) = find_secrets(file)
    refuse_secrets([file], "--x-allow-secret", allowed=[leak.fingerprint])
    with pytest.raises(RefusedError, match=leak.fingerprint):
        refuse_secrets([file], "--x-allow-secret")


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    """An adapter and a base with a secret in every file."""
    folders = {kind: tmp_path / kind for kind in ("adapter", "base")}
    for folder in folders.values():
        (folder / "additional_chat_templates").mkdir(parents=True)
        for name in ("chat_template.jinja", "tokenizer_config.json", "LICENSE", "notes.txt",
                     ".env", "train.py", "additional_chat_templates/tools.jinja"):  # fmt: skip
            (folder / name).write_text(f"one\n{SECRETS['GitHub']}\n")
        (folder / "README.md").write_text(f"# By hand\n\n{SECRETS['Slack']}\n")
    return folders


def test_what_formats_take_over_is_looked_at_before_they_do(sources: dict[str, Path]) -> None:
    taken = {"chat_template.jinja", "tokenizer_config.json", "LICENSE",
             "additional_chat_templates/tools.jinja"}  # fmt: skip

    found = [finding.what for finding in secrets_in_sources(sources, "--x-allow-secret")]

    places = sorted(re.search(r"published: (\S+) ", what)[1] for what in found)
    assert places == sorted([*(f"{name}:2" for name in taken)] * 2 + ["README.md:3"])


def test_finding_in_a_source_goes_through_by_its_fingerprint(sources: dict[str, Path]) -> None:
    (first, *_) = secrets_in_sources(sources, "--x-allow-secret")
    fingerprint = str(first.next).rsplit(" ", 1)[1]

    left = list(secrets_in_sources(sources, "--x-allow-secret", allowed=[fingerprint]))

    assert [finding.what.split("published: ")[1].split(":")[0] for finding in left] == ["README.md"]


def test_card_without_words_of_a_person_is_not_looked_at(sources: dict[str, Path]) -> None:
    found = secrets_in_sources(sources, "--x-allow-secret", has_own_words=lambda text: False)

    assert not any("README.md" in finding.what for finding in found)
