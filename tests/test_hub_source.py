"""A source and its base on the Hub, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from make_fine_tune import edit_json


def test_adapter_and_base_are_fetched_by_name(
    uploader: Any, fine_tune: Path, hub: Any, monkeypatch: Any
) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi, constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    edit_json(fine_tune / "adapter_config.json", base_model_name_or_path="me/base")
    for repo, folder in {"me/adapter": fine_tune, "me/base": fine_tune.parents[1] / "base"}.items():
        api.create_repo(repo, private=True)
        # Not peft's own card: it names the base by its path, which the Hub refuses.
        files = [path for path in sorted(folder.iterdir()) if path.name != "README.md"]
        operations = [CommitOperationAdd(path.name, str(path)) for path in files]
        api.create_commit(repo, operations, commit_message="upload")
    release = uploader.cwd / "release"
    result = uploader("run", "me/adapter", "--plugins", "lora,merged", "--output", release)
    assert result.returncode == 0, result.stderr
    assert (release / "merged-16bit" / "model.safetensors").is_file()
    manifest = json.loads((release / "upload_manifest.json").read_text())
    assert manifest["base_model"] == "me/base"
    assert manifest["base_revision"] == api.repo_info("me/base").sha
    assert "base_model: me/base" in (release / "merged-16bit" / "README.md").read_text()


def test_name_that_is_not_on_the_hub(uploader: Any, hub: Any) -> None:
    result = uploader("run", "me/nothing", "--plugins", "lora")
    assert result.returncode == 4
    assert "me/nothing is not on the Hub" in result.stderr
    assert "Traceback" not in result.stderr
