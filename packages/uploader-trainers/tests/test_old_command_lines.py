"""Old command lines of both trainers, as they are, against a Hub on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LINES = {
    "merged_16bit": "--save-method merged_16bit --create-gguf --gguf-quantizations Q4_K_M Q8_0",
    "merged_4bit": "--save-method merged_4bit --private",
    "lora": "--save-method lora --private",
}
FOLDERS = {
    "merged_16bit": {"merged-16bit", "gguf"},
    "merged_4bit": {"merged-4bit"},
    "lora": {"lora"},
}


BOTH = pytest.mark.parametrize("method", ["sft", "kto"])


@BOTH
def test_trainer_leaves_the_usual_folder(method: str, request: pytest.FixtureRequest) -> None:
    final_model = request.getfixturevalue(f"{method}_model")
    assert final_model.parents[1].name == f"{method}_output_rtx3090"
    assert re.fullmatch(r"\d{8}_\d{6}", final_model.parent.name)
    assert (final_model / "adapter_model.safetensors").is_file()
    lineage = json.loads((final_model / "training_lineage.json").read_text("utf-8"))
    assert lineage["method"] == method.upper()
    assert lineage["base_model"] == "tiny-base"
    assert lineage["results"]["steps"] == 5
    assert lineage["results"]["final_loss"] > 0
    assert lineage["lora"]["target_modules"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip
    assert str(final_model.parents[2]) not in json.dumps(lineage)


@pytest.mark.parametrize(
    ("trained", "save"),
    [
        ("sft", "merged_16bit"),
        ("sft", "merged_4bit"),
        ("sft", "lora"),
        ("kto", "lora"),
        pytest.param("kto", "merged_16bit", marks=pytest.mark.slow),
        pytest.param("kto", "merged_4bit", marks=pytest.mark.slow),
    ],
)
def test_old_line_gives_the_release_that_it_gave(
    trained: str,
    save: str,
    request: pytest.FixtureRequest,
    wrapper: Callable,
    hub: Any,
    tmp_path: Path,
) -> None:
    from huggingface_hub import HfApi

    final_model = request.getfixturevalue(f"{trained}_model")
    result = wrapper(
        f"rtx3090_{trained}", final_model, "me/tiny", *LINES[save].split(),
        "--output-dir", tmp_path / "out",
        "--training-lineage", final_model / "training_lineage.json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert len([text for text in result.stderr.splitlines() if text.startswith("note:")]) == 1
    release = tmp_path / "out" / "tiny"
    folders = {p.name for p in release.iterdir() if p.is_dir() and p.name != ".uploader"}
    assert folders == FOLDERS[save]
    assert (release / "README.md").is_file()
    lineage = json.loads((release / "training_lineage.json").read_text("utf-8"))
    assert lineage["training"]["steps"] == 5
    assert lineage["training"]["finished_at"] and lineage["results"]["train_runtime"] > 0
    assert lineage["hardware"]["world_size"] == 1
    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    files = api.list_repo_files("me/tiny")
    assert {"README.md", "upload_manifest.json", "training_lineage.json"} <= set(files)
    assert {name.split("/")[0] for name in files if "/" in name} == folders
    assert api.repo_info("me/tiny").private


def test_gguf_alone_and_gguf_of_what_an_old_line_published(
    sft_model: Path, wrapper: Callable, hub: Any, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi

    quants = ["--gguf-quantizations", "Q8_0", "--private", "--output-dir", tmp_path / "out"]
    lines = (
        [sft_model, "me/full", "--private", "--output-dir", tmp_path / "out"],
        ["--gguf-only", "me/full", *quants],
        [sft_model, "me/alone", "--create-gguf", "--skip-standard", *quants],
    )
    for line in lines:
        result = wrapper("rtx3090_sft", *line)
        assert result.returncode == 0, result.stderr
    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    assert "full-Q8_0.gguf" in api.list_repo_files("me/full-GGUF")
    folders = {n.split("/")[0] for n in api.list_repo_files("me/alone") if "/" in n}
    assert folders == {"gguf"}
    made = [(tmp_path / "out" / n).read_bytes() for n in
            ("full-GGUF/gguf/full-Q8_0.gguf", "alone/gguf/alone-Q8_0.gguf")]  # fmt: skip
    # The weights are the same, whether they come from base and adapter or from the merged model.
    assert made[0][-1_000_000:] == made[1][-1_000_000:]


def test_unsaved_release_leaves_nothing_here(
    sft_model: Path, wrapper: Callable, hub: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    from huggingface_hub import HfApi

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = sorted(sft_model.parent.iterdir())
    result = wrapper("rtx3090_sft", sft_model, "me/gone", "--save-method", "lora",
                     "--no-save-local")  # fmt: skip
    assert result.returncode == 0, result.stderr
    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    assert "lora/adapter_model.safetensors" in api.list_repo_files("me/gone")
    assert sorted(sft_model.parent.iterdir()) == before
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []
