"""Which text is meant, and that it is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from uploader_core.plugin import RefusedError
from uploader_merged.texts import CALIBRATION, HELD_OUT, read_lines, read_text, text_path


def test_what_is_measured_on_is_not_what_is_calibrated_on() -> None:
    calibration, held_out = (
        text_path("builtin", "--text", name).read_text("utf-8") for name in (CALIBRATION, HELD_OUT)
    )
    lines = {line for line in calibration.splitlines() if len(line) > 40}
    assert lines
    assert not lines.intersection(held_out.splitlines())


def test_a_file_of_the_user(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("words " * 400, "utf-8")
    assert text_path(str(file), "--text", CALIBRATION) == file


def test_next_to_nothing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "short.txt"
    file.write_text("short", "utf-8")
    for wrong in (file, tmp_path / "nowhere.txt"):
        with pytest.raises(RefusedError, match=wrong.name):
            text_path(str(wrong), "--text", CALIBRATION)


@pytest.mark.parametrize("data", ["é " * 999, "words " * 400], ids=["latin-1", "utf-16"])
def test_another_encoding_is_refused(data: str, tmp_path: Path) -> None:
    file = tmp_path / "old.txt"
    file.write_bytes(data.encode("latin-1" if "é" in data else "utf-16-le"))
    with pytest.raises(RefusedError, match=r"old\.txt is no text in UTF-8") as refused:
        text_path(str(file), "--text", CALIBRATION)
    assert "iconv" in str(refused.value.next)


def test_the_mark_of_windows_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb")
    assert read_text(file) == "a\nb"
    assert read_text(file, 1) == "a"


@pytest.mark.parametrize("text", ["x" * 70_000, " " * 70_000, "a \n" + "é" * 70_000])
def test_what_has_no_words_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "blob.txt"
    file.write_text(text, "utf-8")
    with pytest.raises(RefusedError, match="a word or a space of more than 65,536"):
        text_path(str(file), "--text", CALIBRATION)


def test_line_that_is_no_text_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "records.jsonl"
    file.write_text("{}\n" + "x" * (17 << 20), "utf-8")
    lines = read_lines(file)
    assert next(lines) == "{}\n"
    with pytest.raises(RefusedError, match="a line has"):
        next(lines)
