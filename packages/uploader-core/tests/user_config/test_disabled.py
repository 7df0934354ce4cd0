"""Switching plugins off and on, and what stays visible of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader_core.errors import UsageError
from uploader_core.user_config.disabled import disabled_plugins

BOMB = {"bomb": "raise SystemExit('imported')"}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture
def bomb(install: Callable[..., None]) -> None:
    """An installed plugin that must not be imported."""
    install("acme-bomb", BOMB, {"plugins": {"bomb": "bomb"}, "artifacts": {"acme.bomb": "bomb"}})


@pytest.mark.usefixtures("bomb")
def test_disabled_plugin_is_listed_and_not_imported(uploader: Any, adapter: Path) -> None:
    assert "enable bomb" in uploader("plugins", "disable", "bomb").stdout
    (row,) = [
        r for r in json.loads(uploader("plugins", "list", "--check", "--json").stdout)
        if r["id"] == "bomb"
    ]  # fmt: skip
    assert row["state"] == "disabled by uploader plugins disable"
    assert row["kinds"] == ["acme.bomb"]
    assert row["next"] == "uploader plugins enable bomb"
    refused = uploader("run", adapter, "--plugins", "bomb")
    assert refused.returncode == 8
    assert "uploader plugins enable bomb" in refused.stderr
    assert "imported" not in refused.stderr


@pytest.mark.usefixtures("bomb")
def test_enabled_again_it_is_loaded(uploader: Any, adapter: Path) -> None:
    uploader("plugins", "disable", "bomb")
    assert uploader("plugins", "enable", "bomb").stdout == "bomb is enabled\n"
    assert "SystemExit: imported" in uploader("run", adapter, "--plugins", "bomb").stderr


@pytest.mark.usefixtures("bomb")
def test_allow_list_of_the_working_folder(uploader: Any, tmp_path: Path, adapter: Path) -> None:
    (tmp_path / "uploader.toml").write_text('[plugins]\nallow = ["lora"]\n', "utf-8")
    refused = uploader("run", adapter, "--plugins", "bomb")
    assert refused.returncode == 8
    assert "add it to plugins.allow of uploader.toml" in refused.stderr


@pytest.mark.usefixtures("notes_plugin", "bomb")
def test_allowed_plugin_runs(uploader: Any, tmp_path: Path, adapter: Path) -> None:
    (tmp_path / "own.toml").write_text('[plugins]\nallow = ["notes"]\n', "utf-8")
    result = uploader("run", adapter, "--plugins", "notes", "--config", tmp_path / "own.toml")
    assert result.returncode == 0, result.stderr


def test_first_reason_is_named() -> None:
    tables: dict[str, dict[str, object]] = {"plugins": {"allow": ["a"]}}
    found = disabled_plugins(
        ["a", "b", "c", "dir"],
        without=["a"],
        tables=tables,
        environment={"UPLOADER_DISABLE": "a,b"},
    )
    assert found == {
        "a": "--without",
        "b": "UPLOADER_DISABLE",
        "c": "plugins.allow of uploader.toml",
    }


@pytest.mark.parametrize("table", [{"allow": "lora"}, {"allowed": ["lora"]}])
def test_allow_list_that_is_none_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="plugins"):
        disabled_plugins([], tables={"plugins": table})


@pytest.mark.usefixtures("notes_plugin")
def test_info_shows_kinds_hooks_api_and_import_time(uploader: Any) -> None:
    shown = uploader("plugins", "info", "notes").stdout
    assert "acme-notes 2.5" in shown
    assert "acme.notes" in shown
    assert "uploader_savers" in shown
    assert "--notes-text  what the note says" in shown
    row = json.loads(uploader("plugins", "info", "notes", "--json").stdout)
    assert row["api"] == 1
    assert row["import_ms"] > 0
