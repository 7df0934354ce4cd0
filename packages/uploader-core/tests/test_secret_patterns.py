"""One list of secrets: for what is redacted, and for what stops an upload."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from uploader_core.lineage import read_lineage
from uploader_core.plugin import secret_patterns, without_secrets
from uploader_core.redact import Redactor

LETTERS = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
# Put together here, so that no scanner of this repository takes them for real ones.
SECRETS = {
    "hf": "hf" + f"_{LETTERS}",
    "hf-organisation": "api" + f"_org_{LETTERS}",
    "github": "ghp" + f"_{LETTERS}",
    "github-server": "ghs" + f"_{LETTERS}",
    "github-refresh": "ghr" + f"_{LETTERS}",
    "github-fine": "github" + f"_pat_11ABC_{LETTERS}",
    "gitlab": "glpat" + "-AbCdEf0123456789xYzQ",
    "aws": "ASIA" + "IOSFODNN7EXAMPL3",
    "aws-secret": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "openai": "sk" + f"-proj-{LETTERS}",
    "slack": "xoxs" + "-123456789012-AbCdEfGhIjKl",
    "google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "stripe": "sk" + f"_live_{LETTERS}",
    "stripe-restricted": "rk" + f"_live_{LETTERS}",
    "npm": "npm" + f"_{LETTERS}",
    "pypi": "pypi" + f"-AgEIcHlwaS5vcmc{LETTERS}",
    "wandb": "WANDB_API_KEY=" + "0123456789abcdef0123456789abcdef01234567",
    "private-key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk",
    "jwt": "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3",
    "hf-of-a-job": "hf" + "_jwt_ey" + f"JhbGciOiJI.ey{LETTERS}.{LETTERS}",
    "hf-of-an-account": "hf" + f"_oauth_{LETTERS}",
    "service-for-models": "gsk" + f"_{LETTERS}",
    "service": "dckr" + "_pat_AbCdEf0123456789xYzQAbCdEfG",
    "google-access": "ya29" + f".a0{LETTERS}{LETTERS}",
    "azure": "AccountKey=" + f"{LETTERS}{LETTERS}AbCdEf0123456789==",
    "webhook": "https://hooks.slack" + f".com/services/T0ABCDEFG/B0ABCDEFG/{LETTERS[:24]}",
    "bot": "1234567890" + f":AA{LETTERS[:33]}",
    "neptune": "eyJ" + f"hcGlfYWRkcmVzcyI6{LETTERS}{LETTERS}==",
    "kaggle": '{"username":"me","key":"' + "0123456789abcdef0123456789abcdef" + '"}',
    "password": "DB_PASSWORD=" + "aB3dE6gH9jK2mN5pQ8sT",
    "address": "postgres://alice:" + "correct-horse@db.example.org/runs",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_in_what_a_trainer_wrote_is_not_published(kind: str, tmp_path: Path) -> None:
    told = {"method": f"LoRA with {SECRETS[kind]}", "num_train_epochs": 3}
    (tmp_path / "training_lineage.json").write_text(json.dumps(told))
    training = read_lineage({"adapter": tmp_path}).to_json()["training"]
    assert isinstance(training, dict)
    assert training["num_train_epochs"] == 3
    words = str(training["method"]).removeprefix("LoRA with ")
    assert not any(part in words for part in SECRETS[kind].replace("=", " ").split()[-1:])
    assert "[secret]" in words


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_is_in_the_list_with_a_mark_for_its_line(kind: str) -> None:
    line = SECRETS[kind].splitlines()[0]
    found = [known for known in secret_patterns() if known.pattern.search(line)]
    assert found
    assert all(any(mark in line.lower() for mark in known.marks) for known in found)


def test_every_kind_of_the_list_has_an_example_here() -> None:
    for known in secret_patterns():
        assert any(known.pattern.search(secret) for secret in SECRETS.values()), known.what


@pytest.mark.parametrize(
    "text",
    [
        "acme/pypi-package-descriptions",
        "acme/npm_readmes",
        "task-specific-configuration-of-a-summariser",
        "adamw_8bit",
        "q_proj.lora_A",
        "1c29aa2e23cd5a1a6a38d06b8c8b4fd4f5e9c1a7",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor()(text) == without_secrets(text) == text


@pytest.mark.parametrize("bad", ["eyJ-", "sk-a-", "a.", "wandb ", "-----BEGIN ", "://a:"])
def test_text_that_means_harm_costs_no_more_than_its_length(bad: str) -> None:
    def seconds(size: int) -> float:
        text = bad * (size // len(bad))
        started = time.process_time()
        without_secrets(text)
        return time.process_time() - started

    assert seconds(80_000) < 8 * (seconds(20_000) + 0.05)
