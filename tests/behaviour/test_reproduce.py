"""``uploader reproduce``: releases made once more, by another version, by hand and from a Hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from json_files import edit_json

GOLDEN = Path(__file__).parents[2] / "packages" / "uploader-core" / "tests" / "manifest" / "golden"
SOURCE, BASE = GOLDEN / "source" / "run" / "final_model", GOLDEN / "source" / "base"

of_each_version = pytest.mark.parametrize(
    "day", ["2026-11-23", "2026-11-28", "2026-11-29", "2026-11-30"]
)


@pytest.fixture
def reproduce(uploader: Any, tmp_path: Path) -> Any:
    """The command, with its JSON and its exit code."""

    def call(release: object, *options: object) -> tuple[int, Any, str]:
        output = tmp_path / "made-again"
        done = uploader("reproduce", release, "--json", "--output", output, *options)
        return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr

    return call


def grades(found: Any) -> dict[str, str]:
    return {verdict["kind"]: verdict["grade"] for verdict in found["artifacts"]}


def publish(hub: Any, repo: str, folder: Path) -> str:
    """Put a folder on the Hub; return the commit."""
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    api.create_repo(repo, private=True)
    files = [path for path in sorted(folder.iterdir()) if path.name != "README.md"]
    operations = [CommitOperationAdd(path.name, path.read_bytes()) for path in files]
    return str(api.create_commit(repo, operations, commit_message="upload").oid)


@pytest.mark.parametrize("place", [".", "release", "release/again"])
def test_never_made_into_what_it_is_compared_with(
    uploader: Any, tmp_path: Path, place: str
) -> None:
    release = tmp_path / "release"
    shutil.copytree(GOLDEN / "2026-11-30", release)
    before = sorted(path.name for path in tmp_path.iterdir())
    done = uploader("reproduce", release, "--output", tmp_path / place)
    assert done.returncode == 2
    assert "one is inside the other" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.fixture
def on_hub(hub: Any, uploader: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository: an adapter that was released from the Hub to the Hub, both since changed."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    uploader.environment["UPLOADER_DISABLE"] = ""
    adapter = tmp_path / "adapter"
    shutil.copytree(SOURCE, adapter)
    edit_json(adapter / "adapter_config.json", base_model_name_or_path="me/base")
    publish(hub, "me/base", BASE)
    publish(hub, "me/adapter", adapter)
    done = uploader(
        "run", "me/adapter", "--plugins", "lora", "--to", "hf:me/out", "-y",
        "--provenance-tensors", "--output", tmp_path / "release",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "hf-home", ignore_errors=True)  # another machine
    (repo,) = {name for name in hub.store.repos if name.startswith("me/out")}
    return f"hf:{repo}"


@pytest.mark.slow
def test_release_on_the_hub_is_made_again_from_the_commits_that_it_names(
    reproduce: Any, on_hub: str, hub: Any, tmp_path: Path
) -> None:
    start = len(hub.requests)
    code, found, said = reproduce(on_hub)
    assert code == 0, said
    assert grades(found) == {"lora": "bit-equal"}
    assert found["release"].startswith(f"{on_hub}@")
    asked = {line.split("?")[0] for line in hub.requests[start:]}
    # Its weights are compared by their digests, and nothing was changed there.
    assert not any(
        f"{on_hub.removeprefix('hf:')}/resolve" in a and "safetensors" in a for a in asked
    )
    assert all(line.startswith(("GET", "HEAD")) for line in asked)


def test_tensors_are_compared_without_the_weights_of_the_original(
    reproduce: Any, uploader: Any, tmp_path: Path
) -> None:
    uploader.environment["UPLOADER_DISABLE"] = ""
    made = tmp_path / "release"
    uploader("run", SOURCE, "--plugins", "lora", "--provenance-tensors", "--output", made)
    manifest = json.loads((made / "upload_manifest.json").read_text())
    weights = next(f for f in manifest["files"] if f["path"] == "lora/adapter_model.safetensors")
    weights["sha256"] = "0" * 64  # as if the file had been cut in another way
    (made / "upload_manifest.json").write_text(json.dumps(manifest))
    (made / "lora" / "adapter_model.safetensors").unlink()
    code, found, said = reproduce(made, "--from", SOURCE, "--base", BASE)
    assert code == 10, said
    assert grades(found) == {"lora": "tensor-equal"}
    assert found["artifacts"][0]["differs"] == ["adapter_model.safetensors"]


def test_source_is_asked_for_that_only_its_maker_has(reproduce: Any) -> None:
    code, _, said = reproduce(GOLDEN / "2026-11-29")
    assert code == 4
    assert "--from FOLDER" in said


@pytest.mark.slow
@of_each_version
def test_release_of_an_earlier_version_is_made_again_bit_for_bit(reproduce: Any, day: str) -> None:
    code, found, _ = reproduce(GOLDEN / day, "--from", SOURCE, "--base", BASE)
    assert (code, grades(found)) == (0, {"lora": "bit-equal", "merged-16bit": "bit-equal"})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_wrong_base_is_refused_by_the_file_that_differs(
    reproduce: Any, tmp_path: Path, name: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(BASE, other)
    data = bytearray((other / name).read_bytes())
    # A blank in JSON, the last bit of the weights: nothing that a reader would stumble over.
    data[-2] = 32 if name.endswith("json") else data[-2] ^ 1
    (other / name).write_bytes(data)
    code, _, said = reproduce(GOLDEN / "2026-11-29", "--from", SOURCE, "--base", other)
    assert code == 4
    assert "this is not the base" in said
    assert name in said
    assert not (tmp_path / "made-again").exists()
