"""Secrets as their vendors make them, by a seed, and files as people leave them in."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable

DIGITS, HEX = string.digits, string.digits + "abcdef"
LETTERS = string.ascii_letters + string.digits
CAPITALS = string.ascii_uppercase + string.digits

# How each begins, of what it is made, and how long that is. The beginnings are put together here,
# so that no scanner of this repository takes one for real.
FORMS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "Hugging Face": (("hf" + "_", LETTERS, 34),),
    "an organisation at Hugging Face": (("api" + "_org_", LETTERS, 34),),
    "GitHub": (("ghp" + "_", LETTERS, 36),),
    "GitHub, for a server": (("ghs" + "_", LETTERS, 36),),
    "GitHub, fine-grained": (("github" + "_pat_11", CAPITALS, 20), ("_", LETTERS, 59)),
    "GitLab": (("glpat" + "-", LETTERS, 20),),
    "AWS": (("AKI" + "A", CAPITALS, 16),),
    "AWS, secret": (("aws_secret_access_key = ", LETTERS + "/+", 40),),
    "OpenAI": (("sk" + "-proj-", LETTERS, 48),),
    "Anthropic": (("sk" + "-ant-api03-", LETTERS, 60),),
    "Slack": (("xox" + "b-", DIGITS, 12), ("-", LETTERS, 24)),
    "Slack, webhook": (
        ("https://hooks.slack" + ".com/services/T", CAPITALS, 9), ("/B", CAPITALS, 9),
        ("/", LETTERS, 24),
    ),
    "Google": (("AI" + "za", LETTERS + "_-", 35),),
    "Google, OAuth": (("GOC" + "SPX-", LETTERS, 28),),
    "Stripe": (("sk" + "_live_", LETTERS, 24),),
    "npm": (("npm" + "_", LETTERS, 36),),
    "PyPI": (("pypi" + "-AgEIcHlwaS5vcmc", LETTERS + "_-", 80),),
    "Weights & Biases": (("WANDB_API_KEY=", HEX, 40),),
    "a token of the web": (("eyJ" + "hbGciOiJIUzI1NiJ9.eyJ", LETTERS, 30), (".", LETTERS, 43)),
    "a database": (("postgres" + "://trainer:", LETTERS, 16), ("@db.example.org/", LETTERS, 4)),
    "Groq": (("gsk" + "_", LETTERS, 52),),
    "NVIDIA": (("nvapi" + "-", LETTERS, 64),),
    "Replicate": (("r8" + "_", LETTERS, 37),),
    "Docker": (("dckr" + "_pat_", LETTERS, 27),),
    "SendGrid": (("SG" + ".", LETTERS, 22), (".", LETTERS, 43)),
    "Databricks": (("dap" + "i", HEX, 32),),
    "Azure": (("AccountKey" + "=", LETTERS + "+/", 86), ("==", "", 0)),
    "Telegram": (("", "123456789", 10), (":AA", LETTERS, 33)),
    "Kaggle": (('{"username":"me","key":"', HEX, 32), ('"}', "", 0)),
    "a password": (("DB_PASSWORD=" + "aB3", LETTERS, 24),),
}  # fmt: skip


def secret(kind: str, source: random.Random) -> str:
    """Return another secret of a sort each time."""
    return "".join(
        begin + "".join(source.choice(letters) for _ in range(count))
        for begin, letters, count in FORMS[kind]
    )


def _cells(line: str, outputs: list[str]) -> str:
    cell = {
        "cell_type": "code",
        "source": [line],
        "outputs": [{"output_type": "stream", "text": outputs}],
    }
    return json.dumps({"cells": [cell], "nbformat": 4}, indent=1)


SORTS: dict[str, Callable[[str], str]] = {
    "README.md": lambda text: f"# Model\n\nRun it with `{text}` and wait.\n",
    "config.json": lambda text: json.dumps({"hidden_size": 64, "note": text}, indent=2),
    "chat_template.jinja": lambda text: "{#- " + text + " -#}{{ messages }}",
    "train.yaml": lambda text: f"lr: 1e-4\nreport: '{text}'\n",
    "train.ipynb": lambda text: _cells(f"run({text!r})\n", []),
    "outputs.ipynb": lambda text: _cells("login()\n", ["logged in\n", f"with {text}\n"]),
    "train.py": lambda text: f"import os\n\nlogin({text!r})\n",
    "pyproject.toml": lambda text: f'[tool.train]\nnote = """{text}"""\n',
    ".env": lambda text: text if "=" in text.split("://")[0] else f"THE_KEY={text}\n",
    "runs.csv": lambda text: f'step,note\n1,ok\n2,"{text}"\n',
    "train.log": lambda text: f"2026-11-29 12:00:00 INFO using {text}\n",
    "run.sh": lambda text: f"#!/bin/sh\nexport X='{text}'\npython train.py\n",
}
"""Twelve sorts of file, each with a secret in it as people leave it there."""
