"""``uploader run`` without a source: what is taken, and that it is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from uploader_core.cli.default_source import Choice, choose_source
from uploader_core.errors import SourceError, UsageError
from uploader_core.user_config.files import load


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; nobody's own settings count."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nowhere"))
    return folder


def leave(folder: Path, finished: str = "2026-01-01T10:00:00+00:00") -> Path:
    """Leave an adapter as a trainer does, but for the weights' content."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"")
    (folder / "training_lineage.json").write_text(json.dumps({"finished_at": finished}))
    return folder


def choose(folder: Path) -> Choice:
    return choose_source(folder, load(folder=folder, environment={}))


def test_newest_run_below_the_current_folder(here: Path) -> None:
    leave(here / "outputs" / "old" / "final_model")
    leave(here / "outputs" / "new" / "final_model", "2026-01-02T10:00:00+00:00")
    choice = choose(here)
    assert choice.source == str(Path("outputs", "new", "final_model"))
    assert "the newest training run of 2" in choice.because


def test_settings_go_before_the_newest_run(here: Path) -> None:
    leave(here / "outputs" / "final_model")
    (here / "uploader.toml").write_text('source = "models/mine"\n[notes]\ntext = "x"\n')
    assert choose(here).source == "models/mine"  # a public name, as far as anybody can tell
    (here / "models" / "mine").mkdir(parents=True)
    choice = choose(here)
    assert choice.source == str(here / "models" / "mine")  # as seen from the file
    assert choice.because == f"source in {here / 'uploader.toml'}"


def test_current_folder_goes_before_both(here: Path) -> None:
    (here / "uploader.toml").write_text('source = "elsewhere"\n')
    leave(here)
    assert choose(here) == Choice(source=str(here), because="the current folder holds an adapter")
    (here / "adapter_model.safetensors").unlink()  # without weights it cannot be released
    assert choose(here).source == "elsewhere"


def test_nothing_to_release_says_what_to_type(here: Path) -> None:
    with pytest.raises(UsageError, match="no training run was found") as caught:
        choose(here)
    assert caught.value.next == "uploader run PATH_TO/final_model"


def test_what_cannot_be_released_yet_is_explained(here: Path) -> None:
    shards = here / "checkpoint-10" / "pytorch_model_fsdp_0"
    shards.mkdir(parents=True)
    (shards / "__0_0.distcp").write_bytes(b"")
    with pytest.raises(SourceError, match="FSDP's shards"):
        choose(here)


@pytest.mark.parametrize("value", ["3", '""', "[1]"])
def test_source_of_the_settings_is_a_text(here: Path, value: str) -> None:
    (here / "uploader.toml").write_text(f"source = {value}\n")
    with pytest.raises(UsageError, match="source must be a folder or a name"):
        choose(here)


@pytest.mark.usefixtures("notes_plugin")
def test_run_says_first_what_it_takes(uploader: Any, adapter: Path) -> None:
    result = uploader("run", "--plugins", "notes")
    assert result.returncode == 0, result.stderr
    first, why = result.stdout.splitlines()[:2]
    assert first == f"source  {adapter.relative_to(uploader.cwd)}"
    assert "the newest training run" in why
    assert (adapter.parents[1] / "run-1" / "run-1" / "acme.notes").is_dir()
    shutil.rmtree(adapter.parent)
    assert uploader("run", "--plugins", "notes").returncode == 2


@pytest.mark.usefixtures("notes_plugin")
@pytest.mark.parametrize("command", ["plan", "run"])
def test_programs_are_told_as_well(uploader: Any, adapter: Path, command: str) -> None:
    result = uploader(command, "--plugins", "notes", "--json")
    source = json.loads(result.stdout)["source"]
    assert source["path"] == str(adapter)
    assert "the newest training run" in source["because"]
    named = uploader(command, adapter, "--plugins", "notes", "--json")
    assert json.loads(named.stdout)["source"]["because"] is None


@pytest.mark.usefixtures("notes_plugin")
def test_more_adapters_need_a_first_one(uploader: Any, adapter: Path) -> None:
    result = uploader("plan", "--adapter", adapter)
    assert result.returncode == 2
    assert "--adapter is merged after SOURCE" in result.stderr
