"""Bad input: an exit code, and an error that says what to type next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("notes_plugin")

NEEDS_BASE = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="m", summary="m", consumes=("adapter", "base"), produces="acme.m",
                   run="m:m")
"""

HUGE = """
from uploader_core.plugin import Estimate, SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    yield SaveSpec(name="h", summary="h", consumes=("adapter",), produces="acme.h", run="m:m",
                   estimate="plug_huge:estimate")

def estimate(context):
    return Estimate(bytes_written=10**18)
"""


def test_missing_folder(uploader: Any, tmp_path: Path) -> None:
    result = uploader("run", tmp_path / "nowhere")
    assert result.returncode == 2
    assert "there is no folder" in result.stderr
    assert "next" in result.stderr


def test_folder_without_adapter_config_points_at_the_nested_one(
    uploader: Any, adapter: Path
) -> None:
    result = uploader("run", adapter.parent)
    assert result.returncode == 4
    assert f"uploader run {adapter}" in result.stderr


def test_folder_of_a_save_that_failed(uploader: Any, tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "generation_config.json").write_text("{}")
    result = uploader("run", tmp_path / "half")
    assert result.returncode == 4
    assert "saving it failed half-way" in " ".join(result.stderr.split())


def test_file_to_leave_behind_that_is_not_there(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--leave-behind", "value_head.bim")
    assert result.returncode == 2
    assert "--leave-behind value_head.bim" in result.stderr
    assert "has no such file" in " ".join(result.stderr.split())


def test_what_is_left_behind_is_said(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    (adapter / "value_head.bin").write_bytes(b"x")
    output = tmp_path / "release"
    left = ("--leave-behind", "value_head.bin")
    asked = ("run", adapter, "--plugins", "notes", "--output", output, *left)
    assert uploader(*asked).returncode == 0
    assert "`value_head.bin`" in (output / "README.md").read_text("utf-8")


def test_adapter_without_base(uploader: Any, adapter: Path, install: Callable[..., None]) -> None:
    install("acme-m", {"plug_m": NEEDS_BASE}, {"plugins": {"m": "plug_m"}})
    result = uploader("run", adapter, "--plugins", "m")
    assert result.returncode == 4
    assert "--base PATH_OR_ID" in result.stderr
    assert not (adapter.parent / "run-1").exists()


def test_base_not_found_is_named(
    uploader: Any, adapter: Path, install: Callable[..., None]
) -> None:
    install("acme-m", {"plug_m": NEEDS_BASE}, {"plugins": {"m": "plug_m"}})
    config = {"base_model_name_or_path": "/models/llama-9"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    result = uploader("run", adapter, "--plugins", "m")
    assert result.returncode == 4
    assert "/models/llama-9" in result.stderr
    assert "--base PATH" in result.stderr


def test_base_by_a_path_that_leads_to_two_models(
    uploader: Any, adapter: Path, install: Callable[..., None]
) -> None:
    """As seen from where the command runs, and as seen from the adapter."""
    install("acme-m", {"plug_m": NEEDS_BASE}, {"plugins": {"m": "plug_m"}})
    config = {"base_model_name_or_path": "model"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    here, there = uploader.cwd / "model", adapter / "model"
    for folder in (here, there):
        folder.mkdir()
    (there / "config.json").write_text("{}")
    assert uploader("plan", adapter, "--plugins", "m").returncode == 0  # one of them is no model
    (here / "config.json").write_text("{}")
    result = uploader("run", adapter, "--plugins", "m")
    assert result.returncode == 4
    assert str(here) in result.stderr
    assert str(there) in result.stderr
    assert "--base" in result.stderr


def test_adapter_without_base_still_releases_what_needs_none(uploader: Any, adapter: Path) -> None:
    assert uploader("run", adapter, "--plugins", "notes").returncode == 0


def test_damaged_adapter_config(uploader: Any, adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text("{")
    result = uploader("run", adapter, "--plugins", "notes")
    assert result.returncode == 4
    assert "cannot be read" in result.stderr


def test_unknown_plugin(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "nobodys")
    assert result.returncode == 8
    assert "pip install uploader-nobodys" in result.stderr


def test_unknown_scheme(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "notes", "--to", "ipfs:abc")
    assert result.returncode == 8
    assert "pip install uploader-ipfs" in result.stderr


def test_destination_without_scheme(uploader: Any, adapter: Path) -> None:
    result = uploader("run", adapter, "--plugins", "notes", "--to", "me/model")
    assert result.returncode == 2
    assert "--to hf:me/model" in result.stderr


def test_disk_too_small_is_refused_before_the_first_byte(
    uploader: Any, adapter: Path, install: Callable[..., None]
) -> None:
    install("acme-h", {"plug_huge": HUGE}, {"plugins": {"h": "plug_huge"}})
    result = uploader("run", adapter, "--plugins", "h", "--name", "m")
    assert result.returncode == 4
    assert "are free" in result.stderr
    assert not (adapter.parent / "m").exists()


def test_read_only_output(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = uploader("run", adapter, "--plugins", "notes", "--output", tmp_path / "file" / "x")
    assert result.returncode != 0
    assert "Traceback" not in result.stderr


def test_json_error_is_the_last_line_of_standard_error(uploader: Any, tmp_path: Path) -> None:
    result = uploader("run", tmp_path / "nowhere", "--json")
    error = json.loads(result.stderr.splitlines()[-1])
    assert (error["type"], error["code"], error["error_id"]) == ("exit_error", 2, "UPL-USAGE")


def test_folder_as_command_says_run(uploader: Any, adapter: Path) -> None:
    result = uploader(adapter)
    assert result.returncode == 2
    assert f"uploader run {adapter}" in result.stderr
