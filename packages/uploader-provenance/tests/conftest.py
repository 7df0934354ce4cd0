"""A key pair, and a small folder like that of a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from signing_tools import pem_of, public_pem_of


@pytest.fixture(scope="session")
def key() -> Any:
    """A key that signs."""
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def key_file(key: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key in a file that only its owner reads."""
    path = tmp_path_factory.mktemp("keys") / "signing.pem"
    path.write_bytes(pem_of(key))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def public_key(key: Any, key_file: Path) -> Path:
    """Its public half, for everybody."""
    path = key_file.with_name("signing.pub.pem")
    path.write_bytes(public_pem_of(key))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an artifact's folder looks like."""
    path = tmp_path / "model"
    for name, text in {
        "model.safetensors": "weights",
        "config.json": "{}",
        "sub folder/tokenizer.json": "{} ",
        "größe.txt": "a name that is not ASCII",
        "a.txt": "",
        "a/b.txt": "sorted by parts, not by characters",
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, "utf-8")
    return path
