"""What is shown while bytes go up: each file and all of them, and that nothing happens."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from loopback_hub import Fault, LoopbackHub
from loopback_hub.store import Store
from uploader_core.plugin import Receipt, UploadFile
from uploader_hf.hub import watch
from uploader_hf.hub.watch import Watch

Said = list[tuple[str, int, int | None, str]]


def test_file_and_all_of_them_have_a_time_that_is_left(
    upload: Callable[..., Receipt], release: list[UploadFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, said = [0.0], []

    def on_progress(what: str, done: int, total: int | None, unit: str) -> None:
        if what.startswith("sending: "):
            now[0] += 2.0
            said.append((what, done, total, unit))

    monkeypatch.setattr("uploader_hf.publishing.stream.time.monotonic", lambda: now[0])
    upload(on_progress=on_progress)
    total = sum(file.size for file in release)
    whats = [entry[0] for entry in said if "model-00001" in entry[0]]
    assert {entry[2:] for entry in said} == {(total, "bytes")}
    assert whats[0].startswith("sending: model-00001.safetensors ")
    assert any(re.search(r" \d+%, 0:\d\d left, 0:\d\d in all$", what) for what in whats)
    assert "sending: model-00001.safetensors 100%" in whats[-1]


def test_silence_is_told(
    upload: Callable[..., Receipt], hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Hub makes no commit until it was told that there is none."""
    monkeypatch.setattr(watch, "QUIET", 0.02)
    monkeypatch.setattr(watch, "EVERY", 0.01)
    told, add_commit = threading.Event(), Store.add_commit

    def slow(self: Store, repo: Any, branch: str, title: str, *more: Any) -> Any:
        if title == "Release by uploader":
            assert told.wait(30)
        return add_commit(self, repo, branch, title, *more)

    def on_progress(what: str, *_: object) -> None:
        if re.match(r"committing to me/tiny: no answer for \d+ s", what):
            told.set()

    monkeypatch.setattr(Store, "add_commit", slow)
    upload(on_progress=on_progress)
    assert told.is_set()


@pytest.mark.parametrize("headers", [{}, {"RateLimit": '"api";r=0;t=0'}], ids=["503", "429"])
def test_what_the_client_waits_for_by_itself_is_told(
    upload: Callable[..., Receipt],
    hub: LoopbackHub,
    release: list[UploadFile],
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
) -> None:
    """It says so in its log only, and waits a second at least; 0.36 leaves a 429 to us.

    That second is one without an end: no clock moves, and the wait is over when it was told.
    """
    now, sleep, told = time.monotonic(), time.sleep, threading.Event()
    monkeypatch.setattr(watch, "EVERY", 0.01)
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("time.sleep", lambda s: told.wait(30) if s >= 1 else sleep(s))
    status = 429 if headers else 503
    hub.faults.add(Fault("refuse", r"PUT /_lfs/", status=status, headers=headers))

    def on_progress(what: str, *_: object) -> None:
        if ": trying again in 1 s" in what:
            told.set()

    # One large file: while another one moves there is nothing to say.
    upload(files=release[1:], on_progress=on_progress)
    assert told.is_set()


def test_note_follows_what_was_said_last() -> None:
    said: Said = []
    seen = Watch(lambda *entry: said.append(entry))
    seen.look(1e12)
    assert said == []
    seen("sending: a 5%", 5, 100, "bytes")
    seen.look(seen._since + 12.5)
    assert said[-1] == ("sending: no answer for 12 s, a 5%", 5, 100, "bytes")
    seen("committing", 0, None, "steps")
    seen.look(seen._since + 12.5)
    assert said[-1] == ("committing: no answer for 12 s", 0, None, "steps")
    seen.look(seen._since + 3)
    assert len(said) == 4
