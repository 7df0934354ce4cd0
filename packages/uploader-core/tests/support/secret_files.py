"""Texts that look like secrets, and folders that hold them."""

from __future__ import annotations

from pathlib import Path

# Put together here, so that no scanner of this repository takes them for real ones.
SECRETS = {
    "Hugging Face": "hf" + "_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "GitHub": "ghp" + "_Ab1Cd2Ef3Gh4Ij5Kl6Mn7Op8Qr9St0Uv1Wx2",
    "GitHub fine-grained": "github" + "_pat_11AXCRTFQ0adcjegbidkfl_mqnoxrwtuzvyps9021384756",
    "GitLab": "glpat" + "-AbCdEf0123456789xYzQ",
    "AWS": "AKIA" + "IOSFODNN7EXAMPL3",
    "AWS secret": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYQWERTZLKEY",
    "OpenAI": "sk" + "-proj-AbCdEf0123456789GhIjKlMnOp",
    "Anthropic": "sk" + "-ant-api03-AbCdEf0123456789GhIjKlMnOp",
    "Slack": "xoxb" + "-123456789012-AbCdEfGhIjKl",
    "Google": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "Stripe": "sk" + "_live_AbCdEf0123456789GhIjKlMn",
    "npm": "npm" + "_AbCdEf0123456789GhIjKlMnOpQrStUvWxYz",
    "wandb": "WANDB_API_KEY=" + "93b1f7a0c45d28e6f0917ab3c4d58e62f1a7093b",
    "private key": "-----BEGIN " + "OPENSSH PRIVATE KEY----- b3BlbnNzaC1rZXktdjEAAAAA",
    "address": "postgres://alice:" + "correct-horse@db.example.org/runs",
    "token of the web": "ey" + "JhbGciOiJIUzI1NiJ9.ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3",
}


def sources_with_secrets(root: Path) -> dict[str, Path]:
    """An adapter and a base with a secret in every file."""
    folders = {kind: root / kind for kind in ("adapter", "base")}
    for folder in folders.values():
        (folder / "additional_chat_templates").mkdir(parents=True)
        for name in ("chat_template.jinja", "tokenizer_config.json", "LICENSE", "notes.txt",
                     ".env", "train.py", "additional_chat_templates/tools.jinja"):  # fmt: skip
            (folder / name).write_text(f"one\n{SECRETS['GitHub']}\n")
        (folder / "README.md").write_text(f"# By hand\n\n{SECRETS['Slack']}\n")
    return folders
