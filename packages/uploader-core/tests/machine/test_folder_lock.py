"""One run at a time in a folder, whatever became of the last one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock, Timeout

from uploader_core.errors import TemporaryError
from uploader_core.machine import folder_lock
from uploader_core.machine.filesystems import Mount
from uploader_core.machine.folder_lock import BEAT, SILENCE, Owner, hold, read_owner

RACER = """
import os, sys, time
from pathlib import Path
from uploader_core.errors import TemporaryError
from uploader_core.machine.folder_lock import hold
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
while rounds:
    try:
        with hold(folder / "lock", folder):
            alone = os.open(folder / "alone", os.O_CREAT | os.O_EXCL)
            os.close(alone)
            with (folder / "log").open("a") as log:
                log.write(f"{os.getpid()}\\n")
            os.unlink(folder / "alone")
            rounds -= 1
    except TemporaryError:
        pass
"""
HOLDER = """
import sys, time
from pathlib import Path
from uploader_core.machine.folder_lock import hold
with hold(Path(sys.argv[1]) / "lock", Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def is_held(path: Path) -> bool:
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def say_somebody(folder: Path, host: str, age: float) -> None:
    now = time.time()
    owner = {"host": host, "pid": 1, "since": now - 100, "beat": now - age}
    whole = folder / "somebody"  # whoever reads half a card takes nobody for its owner
    whole.write_text(json.dumps(owner))
    whole.replace(folder / "lock.json")


def test_processes_that_race_never_hold_it_together(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, str(tmp_path), "20"]) for _ in range(4)
    ]
    assert [racer.wait(timeout=600) for racer in racers] == [0] * 4
    assert len((tmp_path / "log").read_text().split()) == 80


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX'")
def test_lock_ends_with_its_process_and_is_known_by_its_owner(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    try:
        assert holder.stdout.readline() == "held\n"
        assert is_held(tmp_path / "lock")
        with pytest.raises(TemporaryError) as busy, hold(tmp_path / "lock", tmp_path):
            pass
        assert f"process {holder.pid}, since" in str(busy.value.owner)
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert not is_held(tmp_path / "lock")
        with hold(tmp_path / "lock", tmp_path):
            owner = read_owner(tmp_path / "lock")
            assert owner is not None
            assert (owner.host, owner.pid) == (socket.gethostname(), os.getpid())
        assert read_owner(tmp_path / "lock") is None
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.kill()
        holder.wait()


def test_another_machine_that_beats_is_left_alone(tmp_path: Path) -> None:
    say_somebody(tmp_path, "far-away", age=BEAT)
    with pytest.raises(TemporaryError) as busy, hold(tmp_path / "lock", tmp_path):
        pass
    assert "process 1 on far-away" in str(busy.value.owner)
    assert (tmp_path / "lock.json").exists()


@pytest.mark.parametrize(("host", "age"), [("far-away", SILENCE + 1), (socket.gethostname(), 1)])
def test_one_that_is_gone_is_not_waited_for(tmp_path: Path, host: str, age: float) -> None:
    say_somebody(tmp_path, host, age)
    with hold(tmp_path / "lock", tmp_path):
        assert is_held(tmp_path / "lock")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every folder count as one that several machines share, and hearts beat quickly."""
    monkeypatch.setattr(
        folder_lock, "find_mount", lambda path: Mount(point=path.parent, kind="nfs4")
    )
    monkeypatch.setattr(folder_lock, "BEAT", 0.4)


def test_another_machine_whose_clock_is_wrong_is_seen_to_live(
    network: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_somebody(tmp_path, "far-away", age=3600)
    # It beats while we wait between two looks at its card.
    beating = SimpleNamespace(
        **{**vars(time), "sleep": lambda _: say_somebody(tmp_path, "far-away", age=3600)}
    )
    monkeypatch.setattr(folder_lock, "time", beating)
    with pytest.raises(TemporaryError), hold(tmp_path / "lock", tmp_path):
        pass


def test_another_machine_that_is_silent_while_it_is_looked_at_is_gone(
    network: None, tmp_path: Path
) -> None:
    say_somebody(tmp_path, "far-away", age=3600)
    with hold(tmp_path / "lock", tmp_path):
        owner = read_owner(tmp_path / "lock")
        assert owner is not None
        assert owner.host == socket.gethostname()


def test_who_waits_is_told_for_whom_and_gets_it_then(tmp_path: Path) -> None:
    waited_for: list[Owner | None] = []
    first = hold(tmp_path / "lock", tmp_path)
    first.__enter__()

    def wait(owner: Owner | None) -> None:
        waited_for.append(owner)
        first.__exit__(None, None, None)

    with hold(tmp_path / "lock", tmp_path, wait=wait):
        assert is_held(tmp_path / "lock")
    assert [owner.pid for owner in waited_for if owner] == [os.getpid()]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}', '{"host": "x", "pid": "y"}'])
def test_an_owner_that_cannot_be_read_does_not_stand_in_the_way(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "lock.json").write_text(content)
    with hold(tmp_path / "lock", tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] in (["lock"], [])


def test_what_a_killed_process_wrote_beside_the_lock_is_removed(tmp_path: Path) -> None:
    (tmp_path / "lock.0123.partial").write_text("{")
    with hold(tmp_path / "lock", tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] in (["lock"], [])
