"""A destination that something else was brought to meanwhile gets the release again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from uploader_core.plugin import hash_file

ADAPTER = "adapter_model.safetensors"


@pytest.fixture
def other(fine_tune: Path, tmp_path: Path) -> Path:
    """Another fine-tune of the same base."""
    folder = shutil.copytree(fine_tune, tmp_path / "other" / "final_model")
    tensors = {name: tensor * 2 for name, tensor in load_file(folder / ADAPTER).items()}
    save_file(tensors, folder / ADAPTER)
    return folder


def uploads(result: Any) -> dict[str, str]:
    assert result.returncode == 0, result.stderr
    steps = json.loads(result.stdout)["steps"]
    return {s["id"]: s["status"] for s in steps if s["id"].startswith(("dir:copy", "hf:upload"))}


def arguments(source: Path, output: Path, target: str) -> tuple[object, ...]:
    return ("run", source, "--plugins", "lora", "--name", "tiny", "--output", output,
            "--to", target, "--yes", "--json")  # fmt: skip


def test_folder_that_another_release_replaced(
    uploader: Any, fine_tune: Path, other: Path, tmp_path: Path
) -> None:
    target = tmp_path / "published"
    first = arguments(fine_tune, tmp_path / "a", f"dir:{target}")
    uploads(uploader(*first))
    assert set(uploads(uploader(*first)).values()) == {"kept"}

    uploads(uploader(*arguments(other, tmp_path / "b", f"dir:{target}")))
    assert set(uploads(uploader(*first)).values()) == {"done"}
    assert hash_file(target / "lora" / ADAPTER) == hash_file(fine_tune / ADAPTER)
    assert uploader("verify", target).returncode == 0


@pytest.mark.parametrize("lost", ["folder", "file"])
def test_folder_that_was_lost(lost: str, uploader: Any, fine_tune: Path, tmp_path: Path) -> None:
    target = tmp_path / "published"
    command = arguments(fine_tune, tmp_path / "a", f"dir:{target}")
    uploads(uploader(*command))
    if lost == "folder":
        shutil.rmtree(target)
    else:
        (target / "lora" / ADAPTER).unlink()
    assert set(uploads(uploader(*command)).values()) == {"done"}
    assert hash_file(target / "lora" / ADAPTER) == hash_file(fine_tune / ADAPTER)


def test_plan_says_that_it_will_be_brought_again(
    uploader: Any, fine_tune: Path, tmp_path: Path
) -> None:
    target = tmp_path / "published"
    command = arguments(fine_tune, tmp_path / "a", f"dir:{target}")
    uploads(uploader(*command))
    shutil.rmtree(target)
    planned = uploader("plan", *command[1:-2], "--json")
    kept = json.loads(planned.stdout)["kept"]
    assert kept
    assert not [name for name in kept if name.startswith("dir:copy")]


def test_repository_that_another_release_replaced(
    uploader: Any, fine_tune: Path, other: Path, tmp_path: Path, hub: Any
) -> None:
    first = arguments(fine_tune, tmp_path / "a", "hf:me/tiny")
    uploads(uploader(*first))
    uploads(uploader(*arguments(other, tmp_path / "b", "hf:me/tiny")))
    assert set(uploads(uploader(*first)).values()) == {"done"}
    assert set(uploads(uploader(*first)).values()) == {"kept"}
    assert uploader("verify", "hf:me/tiny-LoRA").returncode == 0
    (repo,) = hub.store.repos.values()
    assert repo.resolve("main").files[ADAPTER].sha256 == hash_file(fine_tune / ADAPTER)[1]


def test_repository_that_is_gone(uploader: Any, fine_tune: Path, tmp_path: Path, hub: Any) -> None:
    command = arguments(fine_tune, tmp_path / "a", "hf:me/tiny")
    uploads(uploader(*command))
    hub.store.repos.clear()
    assert set(uploads(uploader(*command)).values()) == {"done"}
    assert uploader("verify", "hf:me/tiny-LoRA").returncode == 0
