"""A vocabulary that another worker of a batch has read makes the same file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gguf_oracles import convert
from uploader_core.remembering import VARIABLE


@pytest.mark.parametrize("name", ["llama_folder", "odd_folder"])
def test_file_is_the_same_byte_for_byte(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder: Path = request.getfixturevalue(name)
    memory = tmp_path / "memory"
    memory.mkdir()

    def make(place: str) -> bytes:
        (tmp_path / place).mkdir()
        files = convert(folder, tmp_path / place, ("Q8_0",), smoke_test=False)
        return files["Q8_0"].read_bytes()

    alone = make("alone")
    monkeypatch.setenv(VARIABLE, str(memory))
    first = make("first")
    kept = {path: path.stat().st_mtime_ns for path in memory.iterdir()}
    assert kept
    assert make("second") == first == alone
    assert {path: path.stat().st_mtime_ns for path in memory.iterdir()} == kept
