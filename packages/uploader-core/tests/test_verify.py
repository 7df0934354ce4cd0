"""A release is compared with its manifest, in a folder and at a destination."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("notes_plugin")


def test_destination_is_verified_by_its_name(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    uploader("run", adapter, "--plugins", "notes", "--to", f"dir:{target}")
    assert uploader("verify", f"dir:{target}").returncode == 0
    (target / "acme.notes" / "note.txt").write_text("jello")
    result = uploader("verify", f"dir:{target}")
    assert result.returncode == 7
    assert "acme.notes/note.txt has other content than recorded" in result.stdout
    assert uploader("verify", f"dir:{target}", "--quick").returncode == 0


def test_destination_that_nobody_can_verify(uploader: Any) -> None:
    assert uploader("verify", "nowhere").returncode == 2
    result = uploader("verify", "ipfs:abc")
    assert result.returncode == 8
    assert "no installed plugin uploads to ipfs:" in result.stderr
