"""The end of what a job printed."""

from __future__ import annotations

from pathlib import Path

from uploader_core.machine.tail import read_tail


def test_the_last_lines_are_returned_of_any_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert read_tail(path, 3) == ""
    path.write_bytes(b"x" * 100_000 + b"\none\ntwo \xff\nthree")
    assert read_tail(path, 2) == "two \ufffd\nthree"
    assert len(read_tail(path, 9)) < 70_000
