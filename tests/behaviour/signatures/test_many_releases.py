"""A hundred signed releases of four kinds: OpenSSF's own verifier takes them, unless touched."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from make_fine_tune import make_fine_tune
from signed_folders import SIGN, moved
from signing_tools import upstream_verifies
from tampering import CHANGES
from uploader_command import Uploader
from uploader_oci.loopback import LoopbackRegistry

RELEASES = int(os.environ.get("UPLOADER_SIGNATURES", "100"))
KINDS = ("lora", "merged-16bit", "gguf", "compressed")
SHAPES = (
    {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 1, "rank": 4},
    {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 2, "rank": 8},
    {"hidden_size": 512, "intermediate_size": 512, "num_hidden_layers": 1, "rank": 16},
    {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 3, "rank": 2},
    {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2, "rank": 3},
)


@pytest.fixture(scope="module")
def many(command: Uploader, keys: Path) -> list[Path]:
    """Release folders of many fine-tunes, each in one of four kinds, of one batch."""
    lines = ["[defaults.gguf]", 'quants = ["Q8_0"]', "[defaults.provenance]",
             f"key = {json.dumps(str(keys / 'signing.pem'))}"]  # fmt: skip
    folders = []
    for number in range(RELEASES):
        shape = SHAPES[number // len(KINDS) % len(SHAPES)]
        seed = number // len(KINDS)
        tune = keys.parent / "tunes" / str(seed)
        if not tune.exists():
            make_fine_tune(tune, seed=seed, **shape)
        folders.append(keys.parent / "many" / f"{number:03}")
        lines += ["[[run]]", f"source = {json.dumps(str(tune / 'run' / 'final_model'))}",
                  f"name = 'tune-{number:03}'", f"output = {json.dumps(str(folders[-1]))}",
                  f"plugins = [{json.dumps(KINDS[number % len(KINDS)])}]"]  # fmt: skip
    runs = keys.parent / "RUNS.toml"
    runs.write_text("\n".join(lines), "utf-8")
    result = command("batch", runs, "--yes")
    assert result.returncode == 0, result.stdout + result.stderr
    return folders


def artifact_in(release: Path) -> Path:
    """Return the one artifact's folder of a release."""
    (signature,) = release.glob("*/model.sig")
    return signature.parent


@pytest.mark.slow
def test_upstream_accepts_all_releases_of_four_kinds(many: list[Path], public_key: Path) -> None:
    folders = [folder for release in many for folder in (release, artifact_in(release))]
    accepted = [upstream_verifies(folder, public_key)[0] for folder in folders]
    assert accepted.count(True) == 2 * RELEASES


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("of_artifact", [False, True])
def test_upstream_rejects_all_that_were_touched(
    change: Callable[..., str],
    of_artifact: bool,
    many: list[Path],
    public_key: Path,
    tmp_path: Path,
) -> None:
    rejected = 0
    for number, release in enumerate(many):
        source = artifact_in(release) if of_artifact else release
        folder = moved(source, tmp_path / str(number))
        name = change(folder, random.Random(number))
        accepted, said = upstream_verifies(folder, public_key)
        rejected += not accepted and name in said
        shutil.rmtree(tmp_path / str(number))
    assert rejected == RELEASES


@pytest.mark.slow
def test_four_kinds_are_what_was_signed_after_hub_and_registry(
    command: Uploader,
    adapter: Path,
    signed_hub: Any,
    registry: LoopbackRegistry | None,
    public_key: Path,
    tmp_path: Path,
) -> None:
    from huggingface_hub import HfApi, snapshot_download

    to = ["--to", "hf:me/four"]
    to += [] if registry is None else ["--to", f"oci:{registry.host}/me/four:v1"]
    words = ["run", adapter, "--plugins", ",".join(KINDS), "--gguf-quants", "Q8_0", "--yes"]
    result = command(*words, "--output", "four", *SIGN, *to)
    assert result.returncode == 0, result.stderr
    token = signed_hub.token("me")
    api = HfApi(endpoint=signed_hub.url, token=token)
    pulled = []
    for number, repo in enumerate(m.id for m in api.list_models(author="me") if "four" in m.id):
        pulled.append(tmp_path / f"hub-{number}")
        snapshot_download(repo, local_dir=pulled[-1], endpoint=signed_hub.url, token=token)
    assert len(pulled) == len(KINDS)
    if registry is not None:
        import oras.client

        client = oras.client.OrasClient(hostname=registry.host, insecure=True)
        tags = client.get_tags(f"{registry.host}/me/four")
        for tag in (tag for tag in tags if tag.startswith("v1")):
            pulled.append(tmp_path / f"registry-{tag}")
            client.pull(target=f"{registry.host}/me/four:{tag}", outdir=str(pulled[-1]))
        assert len(pulled) == 2 * len(KINDS)
    for number, folder in enumerate(pulled):
        assert upstream_verifies(folder, public_key)[0], folder
        for change in CHANGES:
            touched = moved(folder, tmp_path / f"{number}-{change.__name__}")
            name = change(touched, random.Random(number))
            accepted, said = upstream_verifies(touched, public_key)
            assert not accepted and name in said, (folder, change)
