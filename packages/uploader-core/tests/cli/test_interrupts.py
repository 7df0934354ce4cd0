"""Ctrl-C, also where it arrives twice."""

from __future__ import annotations

import pytest

from uploader_core import cli
from uploader_core.errors import UploaderError


def _command_that_raises(monkeypatch: pytest.MonkeyPatch, second: Exception) -> None:
    def body(**_: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise second

    monkeypatch.setattr(cli.cli, "main", body)


def test_an_error_that_a_second_interrupt_causes_is_no_unexpected_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # What `with condition:` raises where Ctrl-C arrives while a wait takes its lock again.
    _command_that_raises(monkeypatch, RuntimeError("release unlocked lock"))
    assert cli.main(["run"]) == 130
    assert capsys.readouterr().err == "stopped; everything finished so far is kept\n"


def test_an_error_of_ours_after_an_interrupt_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _command_that_raises(monkeypatch, UploaderError("the lock is of another run"))
    assert cli.main(["run"]) == 1
    assert "the lock is of another run" in capsys.readouterr().err
