"""What ``uploader doctor`` says of Ollama."""

from __future__ import annotations

import pytest

from ollama_server import LoopbackOllama
from uploader_ollama.diagnosis import diagnose


def said(*, online: bool = False) -> tuple[str, str]:
    (line,) = diagnose(online=online)
    return line.level, line.what


def test_the_ollama_that_runs(ollama: LoopbackOllama) -> None:
    assert said() == ("ok", f"0.33.0 at {ollama.url}")


def test_one_that_is_too_old(ollama: LoopbackOllama) -> None:
    ollama.version = "0.24.0"
    level, what = said()
    assert level == "fail" and "does not render" in what


def test_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    assert said() == ("warn", "nothing listens at http://127.0.0.1:9")


def test_another_machine_is_not_asked_unless_the_network_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://models.example")
    level, what = said()
    assert level == "ok" and "not asked" in what
