"""One run at a time in a release folder.

The operating system's lock decides between processes of one machine: it ends with its process,
however that ended, so a lock is never stale and two runs cannot both take it. File systems that
several machines share may not pass it on; there a heartbeat shows that another run works in the
folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from uploader_core.errors import TemporaryError
from uploader_core.machine.os_errors import translate_os_error
from uploader_core.untrusted_json import parse_json, read_as

BEAT = 10.0
"""Seconds between two heartbeats."""

SILENCE = 6 * BEAT
"""Seconds without a heartbeat after which another machine's run counts as gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """Who works in a folder.

    Attributes:
        host: Name of the machine.
        pid: Process on it.
        since: When it took the lock, seconds since 1970.
        beat: When it last said that it lives, by its own clock.
    """

    host: str
    pid: int
    since: float
    beat: float


@contextlib.contextmanager
def hold(path: Path, root: Path) -> Iterator[None]:
    """Hold the lock of a release folder.

    Args:
        path: The lock file; who holds it is next to it, with ``.json`` behind the name.
        root: The release folder, for messages.

    Raises:
        TemporaryError: Another run holds it.
    """
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise _busy(root, read_owner(path)) from None
    except NotImplementedError:
        pass  # a file system without locks: the heartbeat alone protects
    except OSError as error:
        raise translate_os_error(error, path) from error
    try:
        owner = read_owner(path)
        if owner is not None and _lives_elsewhere(owner, locked=lock.is_locked):
            raise _busy(root, owner)
        with _heartbeat(path):
            yield
    finally:
        lock.release()


def read_owner(path: Path) -> Owner | None:
    """Return who holds a lock, or held it last without giving it back; None when nobody says so."""
    try:
        return read_as(Owner, parse_json(_card(path).read_text("utf-8")))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _heartbeat(path: Path) -> Iterator[None]:
    since = time.time()
    stop = threading.Event()

    def beat() -> None:
        owner = Owner(host=socket.gethostname(), pid=os.getpid(), since=since, beat=time.time())
        # A full disk must not stop what is still possible; others only see a silent owner.
        with contextlib.suppress(OSError):
            fresh = path.with_name(f"{path.name}.{os.getpid()}.partial")
            fresh.write_text(json.dumps(asdict(owner)), "utf-8")
            fresh.replace(_card(path))

    def keep_beating() -> None:
        while not stop.wait(BEAT):
            beat()

    beat()
    thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for left in path.parent.glob(f"{path.name}.*"):
            left.unlink(missing_ok=True)


def _lives_elsewhere(owner: Owner, *, locked: bool) -> bool:
    if locked and owner.host == socket.gethostname():
        return False  # the lock was free: that process is gone
    if (owner.host, owner.pid) == (socket.gethostname(), os.getpid()):
        return False
    # Clocks differ between machines: one that is ahead must not make a dead owner live for long.
    return abs(time.time() - owner.beat) < SILENCE


def _busy(root: Path, owner: Owner | None) -> TemporaryError:
    who = "another run"
    if owner is not None:
        since = time.strftime("%H:%M:%S", time.localtime(owner.since))
        where = "" if owner.host == socket.gethostname() else f" on {owner.host}"
        who = f"process {owner.pid}{where}, since {since}"
    return TemporaryError(
        f"another run is working in {root}",
        owner=who,
        safe="that run is not disturbed",
        next="wait until it has finished, or stop it, then run this again",
    )


def _card(path: Path) -> Path:
    return path.with_name(path.name + ".json")
