"""``--adapter``: several fine-tunes of one base in one release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from uploader_command import Uploader


@pytest.fixture
def second(fine_tune: Path) -> Path:
    """Another adapter of the same base."""
    folder = fine_tune.parent / "second"
    shutil.copytree(fine_tune, folder)
    weights = folder / "adapter_model.safetensors"
    save_file(
        {name: tensor * 1.5 for name, tensor in load_file(weights).items()},
        weights,
        metadata={"format": "pt"},
    )
    return folder


def release(uploader: Uploader, *arguments: object) -> tuple[dict[str, str], Path]:
    result = uploader("run", *arguments, "--json")
    assert result.returncode == 0, result.stderr + result.stdout
    made: dict[str, Any] = json.loads(result.stdout)
    return {s["id"]: s["status"] for s in made["steps"]}, uploader.cwd / "out"


def test_two_adapters_are_merged_in_order_and_the_manifest_says_so(
    fine_tune: Path, second: Path, uploader: Uploader
) -> None:
    steps, output = release(
        uploader, fine_tune, "--adapter", f"{second}=0.5", "--plugins", "merged-16bit",
        "--output", "out",
    )  # fmt: skip
    assert steps["merged:16bit"] == "done"
    manifest = json.loads((output / "upload_manifest.json").read_text())
    (stack,) = (m for m in manifest["materials"] if m["kind"] == "adapter-stack")
    assert stack["metadata"]["adapters"] == [
        {"folder": "final_model", "weight": 1.0},
        {"folder": "second", "weight": 0.5},
    ]
    assert "second/adapter_model.safetensors" in {f["path"] for f in stack["files"]}


def test_another_weight_is_another_release(
    fine_tune: Path, second: Path, uploader: Uploader
) -> None:
    arguments = ["--plugins", "merged-16bit", "--output", "out"]
    release(uploader, fine_tune, "--adapter", f"{second}=0.5", *arguments)
    again, output = release(uploader, fine_tune, "--adapter", f"{second}=0.5", *arguments)
    before = (output / "merged-16bit" / "model.safetensors").read_bytes()
    other, _ = release(uploader, fine_tune, "--adapter", f"{second}=0.25", *arguments)
    assert again["merged:16bit"] == "kept"
    assert other["merged:16bit"] == "done"
    assert (output / "merged-16bit" / "model.safetensors").read_bytes() != before


def test_base_as_source_with_one_adapter_is_that_adapter(
    fine_tune: Path, pristine: Path, uploader: Uploader
) -> None:
    base = pristine / "base"
    steps, _ = release(
        uploader, base, "--adapter", fine_tune, "--plugins", "lora,merged-16bit", "--output", "out"
    )
    assert steps["lora:lora"] == "done"


def test_formats_that_hold_one_adapter_say_why_they_do_not_fit(
    fine_tune: Path, second: Path, uploader: Uploader
) -> None:
    result = uploader("run", fine_tune, "--adapter", second, "--plugins", "lora")
    assert result.returncode != 0
    assert "lora needs adapter, and this source is of the kind adapter-stack" in result.stderr


@pytest.mark.parametrize(
    ("adapter", "words"),
    [("nowhere", "there is no folder nowhere"), ("{base}", "holds no adapter")],
)
def test_adapter_that_is_none(
    adapter: str, words: str, fine_tune: Path, pristine: Path, uploader: Uploader
) -> None:
    reference = adapter.format(base=pristine / "base")
    result = uploader("run", fine_tune, "--adapter", reference, "--plugins", "merged-16bit")
    assert result.returncode != 0
    assert words in result.stderr.replace("\n", " ")
