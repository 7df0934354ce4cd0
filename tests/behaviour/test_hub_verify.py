"""A release on the Hub, verified from a place that has nothing but its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_release_is_verified_by_name(
    uploader: Any, fine_tune: Path, hub: Any, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi

    result = uploader("run", fine_tune, "--plugins", "lora", "--to", "hf:me/tiny-LoRA", "--yes")
    assert result.returncode == 0, result.stderr
    uploader.cwd = tmp_path / "elsewhere"
    uploader.cwd.mkdir()

    result = uploader("verify", "hf:me/tiny-LoRA", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["problems"] == []
    assert found["files"] > 3
    assert not list(uploader.cwd.iterdir())

    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    api.upload_file(
        path_or_fileobj=b"{}", path_in_repo="adapter_config.json", repo_id="me/tiny-LoRA"
    )
    result = uploader("verify", "hf:me/tiny-LoRA")
    assert result.returncode == 7
    assert "adapter_config.json has 2 bytes, expected" in result.stdout
    assert uploader("verify", f"hf:me/tiny-LoRA@{found['where'][-40:]}").returncode == 0


def test_exit_codes_of_a_hub_that_does_not_say(uploader: Any, hub: Any) -> None:
    assert uploader("verify", "hf:me/nothing").returncode == 4
    assert uploader("verify", "hf:no-owner").returncode == 2
    uploader.environment["HF_TOKEN"] = "hf_" + "unknown" * 4
    result = uploader("verify", "hf:me/nothing")
    assert result.returncode == 6, result.stderr
    assert "unknown" * 4 not in result.stderr
