"""One list of secrets: for what is redacted, and for what stops an upload."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from uploader_core.lineage import read_lineage
from uploader_core.plugin import secret_patterns, without_secrets
from uploader_core.redact import Redactor
from uploader_core.secret_patterns import RUN, SHORTEST_RUN

LETTERS = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
# Put together here, so that no scanner of this repository takes them for real ones.
SECRETS = {
    "hf": "hf" + f"_{LETTERS}",
    "hf-wrapped": "hf" + "_QwErTzUiOpAs\nDfGhJkLyXcVbNmQaWsEdRf",
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
    "bedrock": "ABSK" + f"{LETTERS}{LETTERS}{LETTERS}",
    "google-of-2026": "AQ.Ab" + f"{LETTERS}{LETTERS}",
    "wandb": "WANDB_API_KEY=" + "0123456789abcdef0123456789abcdef01234567",
    "private-key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAA",
    "private-key-of-putty": "Private-Lines: 1\n" + LETTERS,
    "private-key-of-age": "AGE-SECRET" + f"-KEY-1{LETTERS.upper()}{LETTERS.upper()}",
    "jwt": "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3",
    "hf-of-a-job": "hf" + "_jwt_ey" + f"JhbGciOiJI.ey{LETTERS}.{LETTERS}",
    "hf-of-an-account": "hf" + f"_oauth_{LETTERS}",
    "service-for-models": "gsk" + f"_{LETTERS}",
    "service": "dckr" + "_pat_AbCdEf0123456789xYzQAbCdEfG",
    "google-access": "ya29" + f".a0{LETTERS}{LETTERS}",
    "azure": "AccountKey=" + f"{LETTERS}{LETTERS}AbCdEf0123456789==",
    "azure-application": "aB3" + f"8Q~{LETTERS[:34]}",
    "azure-signature": "?sv=1&si" + f"g={LETTERS}AbCdEfG%3D",
    "stripe-webhook": "whsec" + f"_{LETTERS}",
    "conda": "conda.anaconda.org/t" + f"/tk-{LETTERS}",
    "azure-of-2026": f"{LETTERS}AbCdEfGhIjKlMnOp" + f"JQQJ99{LETTERS[:26]}",
    "webhook": "https://hooks.slack" + f".com/services/T0ABCDEFG/B0ABCDEFG/{LETTERS[:24]}",
    "bot": "1234567890" + f":AA{LETTERS[:33]}",
    "bot-of-discord": "client.run('MTIzNDU2Nzg5MDEyMzQ1Njc4" + f".AbCdEf.{LETTERS}')",
    "neptune": "eyJ" + f"hcGlfYWRkcmVzcyI6{LETTERS}{LETTERS}==",
    "kaggle": '{"username":"me","key":"' + "0123456789abcdef0123456789abcdef" + '"}',
    "kaggle-of-2026": "KGAT" + "_0123456789abcdef0123456789abcdef",
    "lambda": "secret" + "_box_0123456789abcdef0123456789abcdef" + f".{LETTERS[:32]}",
    "registry": '"auths": {"ghcr.io": {"auth": "' + 'bWU6Y29ycmVjdGhvcnNl"}}',
    "basic": "Authorization: " + "Basic bWU6Y29ycmVjdGhvcnNl",
    "curl": "curl -u " + "me:correct-horse7 https://example.org",
    "pgpass": "db.example.org:5432:" + "runs:me:correct-horse7",
    "django": "SECRET_KEY = '" + "w8#k2(m!q9z_x4v7b1n6c3l5j0h$g^f&d*s=a+p)oiuytrewqz" + "'",
    "netrc": "machine example.org login me " + "password correct-horse7",
    "chosen": "password: " + "correct-horse7",
    "random": "DB_PASSWORD=" + "aB3dE6gH9jK2mN5pQ8sT",
    "cohere": "cohere.Client(" + f"'{LETTERS}')",
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
def test_secret_is_in_the_list_with_a_mark_in_it(kind: str) -> None:
    text = SECRETS[kind]
    found = [
        (known, match[0]) for known in secret_patterns() if (match := known.pattern.search(text))
    ]
    assert found
    assert all(any(mark in part.lower() for mark in known.marks) for known, part in found)


@pytest.mark.parametrize("kind", SECRETS)
def test_run_is_one(kind: str) -> None:
    for known in secret_patterns():
        match = known.pattern.search(SECRETS[kind])
        if known.is_run and match is not None:
            run = "".join(itertools.takewhile(RUN.__contains__, match[0]))
            assert len(run) >= SHORTEST_RUN
            assert any(mark in run.lower() for mark in known.marks)


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


@pytest.mark.parametrize(
    "bad",
    [
        "eyJ-", "sk-a-", "a.", "wandb ", "-----BEGIN ", "://a:", "token ", "secret=", "token:\n",
        "password=a1", "api_key=aA", "TOKEN=aaaaaaaaA1", "hf_\n", "curl -u a:", "token is to as ",
    ],
)  # fmt: skip
def test_text_that_means_harm_costs_no_more_than_its_length(bad: str) -> None:
    def seconds(size: int) -> float:
        text = bad * (size // len(bad))
        started = time.process_time()
        without_secrets(text)
        return time.process_time() - started

    assert seconds(80_000) < 8 * (seconds(20_000) + 0.05)
