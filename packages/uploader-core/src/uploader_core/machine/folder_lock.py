"""One process at a time in a folder, also where several machines share it.

The operating system's lock decides between processes of one machine: it ends with its process,
however that ended, so a lock is never stale and two processes cannot both take it. File systems
that several machines share may not pass it on. There a card decides: it is made under its final
name by a link, which only one of several machines can do, and renewed while its owner lives. Clocks
of machines differ and caches are late, so whether an owner lives is seen by whether its card
becomes another one while somebody looks, and by nothing else.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from uploader_core.errors import TemporaryError
from uploader_core.machine.filesystems import find_mount
from uploader_core.machine.os_errors import translate_os_error
from uploader_core.untrusted_json import parse_json, read_as

PAUSE = 0.25
"""Seconds between two looks at a lock that another one holds."""

BEAT = 10.0
"""Seconds between two heartbeats."""

SILENCE = 6 * BEAT
"""Seconds for which a card that was renewed last is believed by its date."""


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


Watch = Callable[["Owner | None"], None]


@contextlib.contextmanager
def hold(path: Path, root: Path, *, wait: Watch | None = None) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        path: The lock file; who holds it is next to it, with ``.json`` behind the name.
        root: The folder, for messages.
        wait: Where another one holds it, called with the owner a few times a second until that is
            over; it may raise to give up. None: that is an error.

    Raises:
        TemporaryError: Another one holds it.
    """
    lock = FileLock(path, thread_local=False)
    try:
        while not (_taken(lock, path) and _made_card(path, locked=lock.is_locked)):
            owner = read_owner(path)
            if wait is None:
                raise _busy(root, owner)
            wait(owner)
            time.sleep(PAUSE)
        with _heartbeat(path):
            yield
    finally:
        lock.release(force=True)


def read_owner(path: Path) -> Owner | None:
    """Return who holds a lock, or held it last without giving it back; None when nobody says so."""
    return _read(_card(path))


def _taken(lock: FileLock, path: Path) -> bool:
    """Take the operating system's lock; a file system without locks has the card alone."""
    try:
        if not lock.is_locked:
            lock.acquire(timeout=0)
    except Timeout:
        return False
    except NotImplementedError:
        pass
    except OSError as error:
        raise translate_os_error(error, path) from error
    return True


def _made_card(path: Path, *, locked: bool) -> bool:
    """Put our card where none is, or in the place of one whose owner is gone.

    Args:
        path: The lock file.
        locked: Whether the operating system's lock is ours.
    """
    card = _card(path)
    mine = _write_own(path, time.time())
    try:
        while True:
            try:
                _link(mine, card)
            except FileExistsError:
                old = read_owner(path)
                if _lives(path, old, locked=locked):
                    return False
                _remove(card, old)
            else:
                return True
    except FileNotFoundError:
        return False  # who took the lock meanwhile tidied up
    except OSError as error:
        raise translate_os_error(error, card) from error
    finally:
        mine.unlink(missing_ok=True)


def _link(mine: Path, card: Path) -> None:
    """Give a file a second name if nobody has that; only one of several machines succeeds."""
    try:
        os.link(mine, card)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # no links here (exFAT): made first and filled after
        with card.open("xb") as file:
            file.write(mine.read_bytes())


def _remove(card: Path, old: Owner | None) -> None:
    """Take away a card whose owner is gone; one that came in its place meanwhile is put back."""
    aside = card.with_name(f"{card.name}.{uuid.uuid4().hex}.partial")
    with contextlib.suppress(FileNotFoundError):
        card.rename(aside)
        if _read(aside) != old:
            with contextlib.suppress(OSError):
                os.link(aside, card)
        aside.unlink(missing_ok=True)


def _lives(path: Path, owner: Owner | None, *, locked: bool) -> bool:
    """Return whether the owner of a card is still at work."""
    if owner is None:
        return False  # nobody can be asked, and whoever wrote half of a card does not beat
    here = owner.host == socket.gethostname()
    if here and owner.pid == os.getpid() and not locked:
        return False
    if locked and here:
        return False  # the lock was free: that process is gone
    if abs(time.time() - owner.beat) < SILENCE:
        return True
    mount = find_mount(path)
    if locked and mount is not None and mount.speed == "local":
        return False
    # Its clock may be wrong. A live one renews its card while it is looked at.
    # Looks are counted, and no time: this process or its machine may have stood still meanwhile.
    for _ in range(math.ceil(2.5 * BEAT / PAUSE)):
        time.sleep(PAUSE)
        if _look_again(path) != owner:
            return True
    return False


def _look_again(path: Path) -> Owner | None:
    """Read a card past caches: a listing of its folder makes clients of NFS ask the server."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        deque(entries, maxlen=0)
    return read_owner(path)


def _write_own(path: Path, since: float) -> Path:
    """Write a card of this process beside the lock, and return where."""
    owner = Owner(host=socket.gethostname(), pid=os.getpid(), since=since, beat=time.time())
    fresh = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    fresh.write_text(json.dumps(asdict(owner)), "utf-8")
    return fresh


@contextlib.contextmanager
def _heartbeat(path: Path) -> Iterator[None]:
    since = time.time()
    stop = threading.Event()

    def keep_beating() -> None:
        while not stop.wait(BEAT):
            # A full disk must not stop what is still possible; others only see a silent owner.
            with contextlib.suppress(OSError):
                _write_own(path, since).replace(_card(path))

    thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        _card(path).unlink(missing_ok=True)
        for left in path.parent.glob(f"{path.name}.*.partial"):  # of who was killed
            left.unlink(missing_ok=True)


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


def _read(card: Path) -> Owner | None:
    try:
        return read_as(Owner, parse_json(card.read_text("utf-8")))
    except (OSError, ValueError):
        return None
