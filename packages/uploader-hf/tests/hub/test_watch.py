"""What is shown while bytes go up: each file and all of them, and that nothing happens."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from loopback_hub import Fault, LoopbackHub
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
    monkeypatch.setattr(watch, "QUIET", 0.02)
    monkeypatch.setattr(watch, "EVERY", 0.01)
    hub.faults.add(Fault("stall", r"POST .*/commit/", seconds=0.3))
    said: list[str] = []
    upload(on_progress=lambda what, *_: said.append(what))
    assert any(what.startswith("committing to me/tiny: no answer for 0 s") for what in said)


@pytest.mark.parametrize("headers", [{}, {"RateLimit": '"api";r=0;t=0'}], ids=["503", "429"])
def test_what_the_client_waits_for_by_itself_is_told(
    upload: Callable[..., Receipt],
    hub: LoopbackHub,
    release: list[UploadFile],
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
) -> None:
    """It says so in its log only, and waits a second at least; 0.36 leaves a 429 to us."""
    monkeypatch.setattr(watch, "EVERY", 0.01)
    status = 429 if headers else 503
    hub.faults.add(Fault("refuse", r"PUT /_lfs/", status=status, headers=headers))
    said: list[str] = []
    # One large file: while another one moves there is nothing to say.
    upload(files=release[1:], on_progress=lambda what, *_: said.append(what))
    assert any(": trying again in 1 s" in what for what in said)


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
