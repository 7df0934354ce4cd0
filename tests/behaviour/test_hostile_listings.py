"""A Hub that lists names which no folder can have, through the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hostile_place import walk
from uploader_command import Uploader

CONFIG = "adapter_config.json"


@pytest.mark.parametrize("name", ["../../../outside.json", "/etc/outside.json"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_name_that_leaves_its_folder_is_refused(
    command: str, name: str, fine_tune: Path, hub: Any, uploader: Uploader, tmp_path: Path
) -> None:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.url, token=uploader.environment["HF_TOKEN"])
    api.create_repo("me/m")
    content = {"path_or_fileobj": fine_tune / CONFIG, "path_in_repo": CONFIG}
    sha = api.upload_file(repo_id="me/m", **content).oid
    repo = hub.store.repos["me/m"]
    files = repo.commits[sha].files
    hub.store.add_commit(repo, "main", "x", "", {**files, name: files[CONFIG]})

    done = uploader(command, "me/m", *(["--yes"] if command == "run" else []))

    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "which would not stay in its folder" in done.stderr
    assert not [path for path in walk(tmp_path) if path.name == "outside.json"]
