"""Ctrl-C, also where it arrives twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

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


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupt_while_python_leaves_is_told_without_a_traceback() -> None:
    script = """
import atexit, os, signal, sys
from uploader_core import cli

def interrupt(**_):
    os.kill(os.getpid(), signal.SIGINT)

atexit.register(interrupt)
cli.cli.main = interrupt
sys.argv = ["uploader", "run"]
sys.exit(cli.main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8"
    )
    assert ended.stderr == "stopped; everything finished so far is kept\n"
    assert ended.returncode == -signal.SIGINT
