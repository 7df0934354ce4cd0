"""Keys, places that a signed release went to, and the command that signs in their folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signed_folders import SIGN
from uploader_command import Uploader
from uploader_oci.loopback import LoopbackRegistry, is_available, loopback_registry


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key pair, and nothing else in its folder."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from signing_tools import pem_of, public_pem_of

    folder = tmp_path_factory.mktemp("signed") / "keys"
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "signing.pem").write_bytes(pem_of(key))
    (folder / "signing.pem").chmod(0o600)
    (folder / "signing.pub.pem").write_bytes(public_pem_of(key))
    return folder


@pytest.fixture(scope="module")
def public_key(keys: Path) -> Path:
    return keys / "signing.pub.pem"


@pytest.fixture(scope="module")
def command(keys: Path) -> Uploader:
    """The command with the documents of this distribution, in the folder of the keys' folder."""
    uploader = Uploader(keys.parent)
    uploader.environment["UPLOADER_DISABLE"] = ""
    return uploader


@pytest.fixture(scope="module")
def adapter(pristine: Path, keys: Path) -> Path:
    shutil.copytree(pristine, keys.parent / "fine-tune")
    return keys.parent / "fine-tune" / "run" / "final_model"


@pytest.fixture(scope="module")
def signed_hub(command: Uploader, keys: Path) -> Iterator[Any]:
    from loopback_hub import LoopbackHub

    with LoopbackHub(keys.parent / "hub") as server:
        command.environment |= {
            "HF_ENDPOINT": server.url,
            "HF_TOKEN": server.token("me"),
            "HF_HOME": str(keys.parent / "hf-home"),
        }
        yield server


@pytest.fixture(scope="module")
def registry(command: Uploader, keys: Path) -> Iterator[LoopbackRegistry | None]:
    """A registry, where there is the program."""
    if not is_available():
        yield None
        return
    with loopback_registry(auth="none") as server:
        yield server


@pytest.fixture(scope="module")
def release(
    command: Uploader, adapter: Path, signed_hub: Any, registry: LoopbackRegistry | None
) -> Path:
    """A signed release, in its folder and at three destinations."""
    to = ["--to", "hf:me/tiny-LoRA", "--to", "dir:copy"]
    if registry is not None:
        to += ["--to", f"oci:{registry.host}/me/tiny:v1"]
    result = command(
        "run", adapter, "--plugins", "lora", "--output", "release", "--yes", *SIGN, *to
    )
    assert result.returncode == 0, result.stderr
    return command.cwd / "release"
