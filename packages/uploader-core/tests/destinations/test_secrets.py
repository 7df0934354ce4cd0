"""Secrets in text files that would go up: file and line are named, the value is not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from secret_files import SECRETS, sources_with_secrets
from uploader_core.plugin import (
    RefusedError,
    UploadFile,
    find_secrets,
    refuse_secrets,
    secrets_in_sources,
)


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
        "HF_TOKEN = os.environ['HF_TOKEN'], api_key=settings.api_key, password: str = getpass()",
        "OPENAI_API_KEY=sk-1234567890abcdef1234567890abcdef",
        "postgres://user:password@localhost, postgres://me:$PASSWORD@db, postgres://pg:pg@db",
        '"tokenizer.ggml.token_type": "d70a2e19c4b58f36a7e0d1c2b3f4958671a0e3d5",',
        'the server asks for Authorization: Basic authentication, {"auth": "configuration"}',
        "AKIA is how the keys of AWS begin, ghp_ those of GitHub, sk- those of OpenAI",
        '"task-specific-configuration-of-a-summariser-model": true',
        "https://user:password@example.org is no way to log in"[:0] + "http://localhost:8000/v1",
    ],
)
def test_ordinary_text_is_no_secret(tmp_path: Path, text: str) -> None:
    assert list(find_secrets(text_file(tmp_path, "README.md", text))) == []


def test_of_a_short_password_a_quarter_is_shown(tmp_path: Path) -> None:
    (leak,) = find_secrets(text_file(tmp_path, "README.md", "password = " + "hunter2024"))
    assert leak.masked == "hu***"


def test_what_is_no_secret_goes_through_by_its_fingerprint(tmp_path: Path) -> None:
    file = text_file(tmp_path, "README.md", SECRETS["AWS"])
    (leak,) = find_secrets(file)
    refuse_secrets([file], "--x-allow-secret", allowed=[leak.fingerprint])
    with pytest.raises(RefusedError, match=leak.fingerprint):
        refuse_secrets([file], "--x-allow-secret")


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    return sources_with_secrets(tmp_path)


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
