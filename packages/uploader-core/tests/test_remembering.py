"""What one worker of a batch computed, the next one takes; a run alone remembers nothing."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from uploader_core import remembering
from uploader_core.artifact import Json
from uploader_core.remembering import VARIABLE, digests_of, is_remembering, remembered


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was computed; there is a memory."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return []


def get(made: list[str], key: Json, value: str = "\ud800 é") -> list[str]:
    def make() -> list[str]:
        made.append(value)
        return [value]

    return remembered("texts", key, make)


def test_equal_key_is_computed_once(made: list[str]) -> None:
    assert get(made, {"a": 1, "b": "x"}) == get(made, {"b": "x", "a": 1}) == ["\ud800 é"]
    assert len(made) == 1


def test_other_key_is_computed(made: list[str]) -> None:
    get(made, [1])
    get(made, [2])
    assert len(made) == 2


def test_alone_everything_is_computed(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    get(made, [1])
    get(made, [1])
    assert not is_remembering()
    assert len(made) == 2
    assert not [*tmp_path.iterdir()]


def test_damaged_memory_is_none(made: list[str], tmp_path: Path) -> None:
    get(made, [1])
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("[", "utf-8")
    assert get(made, [1]) == ["\ud800 é"]
    assert len(made) == 2


def test_memory_has_a_limit(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembering, "MOST", 60)
    get(made, [1], "x" * 40)
    get(made, [2], "y" * 40)
    assert len([*tmp_path.iterdir()]) == 1


def test_digests_tell_contents_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    one = digests_of({"a": tmp_path / "a"})
    (tmp_path / "a").write_bytes(b"2")
    assert digests_of({"a": tmp_path / "a"}) != one
