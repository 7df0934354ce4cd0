"""A source and its base on the Hub, by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from json_files import edit_json


@pytest.fixture
def api(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    from huggingface_hub import HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    return HfApi(endpoint=hub.url, token=hub.token("me"))


def publish(api: Any, repo: str, folder: Path) -> str:
    """Put a folder on the Hub; return the commit."""
    from huggingface_hub import CommitOperationAdd

    api.create_repo(repo, private=True, exist_ok=True)
    # Not peft's own card: it names the base by its path, which the Hub refuses.
    files = [path for path in sorted(folder.iterdir()) if path.name != "README.md"]
    operations = [CommitOperationAdd(path.name, str(path)) for path in files]
    return str(api.create_commit(repo, operations, commit_message="upload").oid)


@pytest.fixture
def model(api: Any, fine_tune: Path) -> str:
    """``me/base``: a full model in two shards among files that nobody needs; its commit."""
    from transformers import AutoModelForCausalLM

    base = fine_tune.parents[1] / "base"
    whole = base / "model.safetensors"
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(base, max_shard_size="1MB")
    assert len(list(base.glob("model-*.safetensors"))) >= 2
    whole.rename(base / "consolidated.safetensors")
    for name in ("pytorch_model.bin", "tf_model.h5", "model.Q4_0.gguf", "train.py"):
        (base / name).write_bytes(b"not needed")
    return publish(api, "me/base", base)


def fetched(hub: Any, start: int = 0) -> set[str]:
    """Return the names of the files whose content was asked for."""
    lines = (line.split("?")[0] for line in hub.requests[start:])
    return {line.rsplit("/", 1)[1] for line in lines if line.startswith("GET /me/base/resolve/")}


def received(folder: Path) -> int:
    """Return the bytes in a cache."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())


def test_adapter_and_base_are_fetched_by_name(
    uploader: Any, fine_tune: Path, hub: Any, api: Any
) -> None:
    edit_json(fine_tune / "adapter_config.json", base_model_name_or_path="me/base")
    publish(api, "me/adapter", fine_tune)
    sha = publish(api, "me/base", fine_tune.parents[1] / "base")
    release = uploader.cwd / "release"
    result = uploader("run", "me/adapter", "--plugins", "lora,merged", "--output", release)
    assert result.returncode == 0, result.stderr
    assert (release / "merged-16bit" / "model.safetensors").is_file()
    manifest = json.loads((release / "upload_manifest.json").read_text())
    assert manifest["base_model"] == "me/base"
    assert manifest["base_revision"] == sha
    assert "base_model: me/base" in (release / "merged-16bit" / "README.md").read_text()


def test_base_is_merged_at_the_revision_that_the_adapter_names(
    uploader: Any, fine_tune: Path, hub: Any, api: Any
) -> None:
    base = fine_tune.parents[1] / "base"
    old = publish(api, "me/base", base)
    before = load_file(base / "model.safetensors")
    save_file({k: v + 1 for k, v in before.items()}, base / "model.safetensors", {"format": "pt"})
    new = publish(api, "me/base", base)
    api.create_tag("me/base", tag="v1", revision=old)
    shutil.rmtree(base)
    edit_json(fine_tune / "adapter_config.json", base_model_name_or_path="me/base", revision="v1")
    arguments = (fine_tune, "--plugins", "lora,merged-16bit", "--output", "r")
    result = uploader("run", *arguments)
    assert result.returncode == 0, result.stderr
    release = uploader.cwd / "r"
    name = "model.layers.0.input_layernorm.weight"  # no LoRA on it
    assert load_file(release / "merged-16bit" / "model.safetensors")[name].equal(before[name])
    manifest = json.loads((release / "upload_manifest.json").read_text())
    assert manifest["base_revision"] == old != new
    lineage = json.loads((release / "training_lineage.json").read_text())
    assert lineage["base_revision"] == old
    for card in (release / kind / "README.md" for kind in ("lora", "merged-16bit")):
        assert f"https://huggingface.co/me/base), commit `{old}`" in card.read_text()
    assert (
        f'from_pretrained("me/base", revision="{old}"'
        in (release / "lora" / "README.md").read_text()
    )

    uploader.environment["HF_HUB_OFFLINE"] = "1"
    again = json.loads(uploader("plan", *arguments, "--json").stdout)
    assert {step["id"] for step in again["steps"]} == set(again["kept"])
    edit_json(fine_tune / "adapter_config.json", revision=new)
    result = uploader("plan", *arguments)
    assert result.returncode == 4
    assert f"me/base@{new} is not in the cache" in result.stderr
    assert f"hf download me/base --revision {new}" in result.stderr


def test_name_that_is_not_on_the_hub(uploader: Any, hub: Any) -> None:
    result = uploader("run", "me/nothing", "--plugins", "lora")
    assert result.returncode == 4
    assert "me/nothing is not on the Hub" in result.stderr
    assert "Traceback" not in result.stderr


def test_ggufs_of_a_model_on_the_hub_in_one_command(
    uploader: Any, model: str, hub: Any, api: Any
) -> None:
    arguments = ("run", "me/base", "--plugins", "gguf", "--gguf-quants", "Q8_0", "--yes",
                 "--to", "hf:me/base-GGUF")  # fmt: skip
    result = uploader(*arguments)
    assert result.returncode == 0, result.stderr
    assert "base-Q8_0.gguf" in api.list_repo_files("me/base-GGUF")
    release = uploader.cwd / "base"
    manifest = json.loads((release / "upload_manifest.json").read_text())
    assert (manifest["base_model"], manifest["base_revision"]) == ("me/base", model)
    assert {p.name for p in (uploader.cwd / "hf-home" / "hub").iterdir() if p.is_dir()} >= {
        "models--me--base"
    }
    unneeded = {"consolidated.safetensors", "pytorch_model.bin", "tf_model.h5",
                "model.Q4_0.gguf", "train.py"}  # fmt: skip
    assert not fetched(hub) & unneeded
    assert "model.safetensors.index.json" in fetched(hub)
    assert uploader("verify", "hf:me/base-GGUF").returncode == 0

    # The branch moves on; what was released stays what it was, and offline nothing is asked.
    asked = len(hub.requests)
    uploader.environment["HF_HUB_OFFLINE"] = "1"
    again = uploader("run", "me/base", "--plugins", "gguf", "--gguf-quants", "Q8_0", "--json")
    assert again.returncode == 0, again.stderr
    # Documents know where they go; this time it is nowhere.
    done = {s["id"]: s["status"] for s in json.loads(again.stdout)["steps"]}
    assert {step for step, status in done.items() if status != "kept"} == {
        "dir:lineage@gguf",
        "hf:card@gguf",
        "ollama:modelfile@gguf",
    }
    assert len(hub.requests) == asked


def test_the_plan_knows_what_would_be_downloaded(
    uploader: Any, model: str, hub: Any, fine_tune: Path
) -> None:
    base = fine_tune.parents[1] / "base"
    size = sum(path.stat().st_size for path in base.glob("model-*.safetensors"))
    arguments = ("me/base", "--plugins", "merged-16bit")

    def plan() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(uploader("plan", *arguments, "--json").stdout)
        return found

    found = plan()
    assert found["bytes_downloaded"] == size
    # Here both lie on one file system, and both count.
    (disk,) = found["space"]
    assert disk["uses"] == ["download", "release"]
    assert disk["peak"] > size + found["bytes_written"]
    assert uploader("run", *arguments).returncode == 0
    assert plan()["bytes_downloaded"] == 0


def test_commit_is_the_one_asked_for(uploader: Any, model: str, api: Any) -> None:
    api.create_tag("me/base", tag="v1")
    api.upload_file(path_or_fileobj=b"{", path_in_repo="config.json", repo_id="me/base")
    result = uploader("run", "me/base@v1", "--plugins", "merged-16bit", "--output", "r")
    assert result.returncode == 0, result.stderr
    manifest = json.loads((uploader.cwd / "r" / "upload_manifest.json").read_text())
    assert manifest["base_revision"] == model


def test_plan_reads_headers_and_fetches_no_weights(uploader: Any, model: str, hub: Any) -> None:
    asked = ("plan", "me/base", "--plugins", "gguf", "--gguf-quants", "Q8_0", "--json")
    result = uploader(*asked)
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert (plan["source"]["kind"], plan["source"]["path"]) == ("checkpoint", f"me/base@{model}")
    assert plan["bytes_written"] > 500_000
    shards = [name for name in fetched(hub) if name.startswith("model-")]
    assert len(shards) >= 2
    cache = uploader.cwd / "hf-home" / "hub"
    assert not list(cache.rglob("*.safetensors"))
    assert received(cache) < 200_000

    assert uploader("run", "me/base", "--plugins", "merged-16bit").returncode == 0
    whole = json.loads(uploader(*asked, "--output", "other").stdout)
    assert whole["bytes_written"] == plan["bytes_written"]
    assert whole["findings"] == plan["findings"]


def test_address_of_fsspec_is_the_same_model(uploader: Any, model: str, hub: Any) -> None:
    del hub
    uploader.environment["UPLOADER_FSSPEC_CACHE"] = str(uploader.cwd / "cache")
    result = uploader("plan", "hf://me/base", "--plugins", "merged-16bit", "--json")
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert plan["source"]["kind"] == "checkpoint"
    assert plan["bytes_downloaded"] > 500_000
    assert not list((uploader.cwd / "cache").rglob("*.safetensors"))


def test_run_that_is_refused_fetches_no_weights(uploader: Any, model: str, hub: Any) -> None:
    result = uploader("run", "me/base", "--plugins", "gguf", "--to", "hf:you/base-GGUF", "--yes")
    assert result.returncode == 6
    assert "you/base-GGUF belongs to you" in result.stderr
    assert not list((uploader.cwd / "hf-home").rglob("*.safetensors"))
    assert not (uploader.cwd / "base").exists()


def test_offline_and_not_in_the_cache(uploader: Any, hub: Any) -> None:
    uploader.environment["HF_HUB_OFFLINE"] = "1"
    result = uploader("run", "me/base", "--plugins", "gguf")
    assert result.returncode == 4
    assert "hf download me/base" in result.stderr
    assert hub.requests == []


def test_offline_and_asked_to_upload(uploader: Any, fine_tune: Path, hub: Any) -> None:
    uploader.environment["HF_HUB_OFFLINE"] = "1"
    result = uploader("run", fine_tune, "--plugins", "lora", "--to", "hf:me/tiny", "--yes")
    assert result.returncode == 4
    assert "unset HF_HUB_OFFLINE" in result.stderr
    assert hub.requests == []


def test_gated_model_is_read_by_those_who_were_accepted(
    uploader: Any, model: str, hub: Any, api: Any
) -> None:
    api.update_repo_settings("me/base", private=False, gated="manual")
    uploader.environment["HF_TOKEN"] = hub.token("you")
    arguments = ("run", "me/base", "--plugins", "merged-16bit", "--output", "r")
    result = uploader(*arguments)
    assert result.returncode == 6
    assert "accept the conditions of me/base on its page" in result.stderr
    hub.store.repos["me/base"].accepted.append("you")
    assert uploader(*arguments).returncode == 0


def test_trained_part_that_is_on_the_hub_only(
    uploader: Any, fine_tune: Path, hub: Any, api: Any
) -> None:
    """Pickles are not fetched, so the listing tells that there is one."""
    base = fine_tune.parents[1] / "base"
    (fine_tune / "non_lora_state_dict.bin").write_bytes(b"weights")
    publish(api, "me/adapter", fine_tune)
    asked = ("me/adapter", "--base", base, "--plugins", "lora,merged")
    result = uploader("plan", *asked)
    assert result.returncode == 4
    assert result.stderr.count("non_lora_state_dict.bin may be a trained part") == 1
    left = ("--leave-behind", "non_lora_state_dict.bin")
    assert uploader("plan", *asked, *left).returncode == 0
