"""The same command again: nothing is computed or sent twice, whatever is remembered here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MB = 1_000_000


def test_unchanged_release_sends_nothing_again(uploader: Any, fine_tune: Path, hub: Any) -> None:
    release = uploader.cwd / "r"
    arguments = ("run", fine_tune, "--plugins", "lora,merged-16bit", "--to", "hf:me/tiny",
                 "--yes", "--json", "--output", release)  # fmt: skip
    assert uploader(*arguments).returncode == 0
    assert hub.bytes_received > 2 * MB

    asked, sent = len(hub.requests), hub.bytes_received
    steps = json.loads(uploader(*arguments).stdout)["steps"]
    assert {step["status"] for step in steps} == {"kept"}
    assert hub.bytes_received == sent
    assert len(hub.requests) == asked + 2  # is it still there: one for each repository

    # A machine that does not remember its uploads asks the Hub.
    for path in (release / ".uploader").rglob("*.json"):
        if json.loads(path.read_text()).get("receipt"):
            path.unlink()
    steps = json.loads(uploader(*arguments).stdout)["steps"]
    again = [step for step in steps if step["status"] == "done"]
    assert sorted(step["id"] for step in again) == ["hf:upload@me/tiny", "hf:upload@me/tiny-LoRA"]
    assert [step["receipt"]["bytes_sent"] for step in again] == [0, 0]
    assert hub.bytes_received - sent < 0.1 * MB
    for repo in hub.store.repos.values():
        assert [c.title for c in repo.history("main")] == ["Release by uploader", "initial commit"]
