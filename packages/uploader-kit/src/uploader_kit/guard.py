"""A worker that is watched: what it writes, whom it talks to, what it starts, and where it dies.

``python -m uploader_kit.guard`` is ``python -m uploader_core.workers.child`` with an audit hook
(PEP 578) in front. It sees what Python code does; :mod:`uploader_kit.trial` also compares folders
before and after and listens to system calls, for what native code and other programs do.
"""

# Plain functions of os: a hook that every open file passes has to be quick.
# ruff: noqa: PTH100, PTH105, PTH110, PTH118, PTH119, PTH123

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

VARIABLE = "UPLOADER_TESTING_GUARD"
"""JSON, the rules: ``log`` (file for what is noted), ``roots`` (folders that may be written),
``network``, what :mod:`uploader_kit.conditions` says, ``trace`` and ``peak`` (files), ``size`` and
``before_second`` (where it dies), ``meet`` and ``watched`` (see :class:`Watch`), ``secrets``."""

WRITES, ASKS, TELLS = "writes ", "asks the network: ", "tells a secret: "
"""How the lines of the log begin."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir": 0, "os.remove": 0, "os.rmdir": 0, "os.rename": 1, "os.link": 1,
            "os.symlink": 1, "os.truncate": 0, "shutil.rmtree": 0}  # fmt: skip
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
_STARTS = {"subprocess.Popen": (1, 3), "os.posix_spawn": (1, 2), "os.exec": (1, 2)}
"""Places of arguments and environment of what starts a program."""
_HARMLESS = ("/dev/", "/proc/", "\\\\.\\")


class Watch:
    """The audit hook.

    Besides what is not allowed it notes nothing. Where ``meet`` names a folder, a thread that opens
    one of the ``watched`` files stops there: it writes a number into ``here`` and goes on when a
    file of that number is there.

    Args:
        rules: See :data:`VARIABLE`.
        look: Called when a file gets its final name.
    """

    def __init__(self, rules: Mapping[str, Any], look: Any) -> None:
        self._log = os.open(rules["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._roots = tuple(os.path.join(os.path.abspath(root), "") for root in rules["roots"])
        self._network = bool(rules["network"])
        self._deadly = set(rules.get("before_second") or ())
        self._finished: set[str] = set()
        self._meet = rules.get("meet")
        self._watched = set(rules.get("watched") or ())
        self._met = 0
        names = rules.get("secrets") or ()
        self._secrets = {n: os.environ[n] for n in names if len(os.environ.get(n, "")) >= 8}
        self._look = look
        self._inside = threading.local()
        self._meeting = threading.Lock()

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if getattr(self._inside, "now", False):
            return
        self._inside.now = True
        try:
            self._see(event, arguments)
        finally:
            self._inside.now = False

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & _WRITING
            if writes and not self._may_write(path):
                self._note(WRITES + os.fsdecode(path))
            elif self._meet is not None and not writes and _name(path) in self._watched:
                self._stop_here()
        elif event in _CHANGES:
            path = arguments[_CHANGES[event]]
            if not self._may_write(path):
                self._note(f"{WRITES}{os.fsdecode(path)} ({event})")
            if event == "os.rename":
                self._look()
                self._die_before(_name(path))
        elif event in _NETWORK and not self._network:
            where = arguments[-1] if event == "socket.connect" else arguments[:2]
            if isinstance(where, (str, bytes)):
                return  # a socket in the file system
            self._note(f"{ASKS}{event} {where!r}")
            raise PermissionError(f"{event} {where!r}: this step must not need a network")
        elif self._secrets and (event in _STARTS or event == "os.system"):
            self._look_at_start(event, arguments)

    def _may_write(self, path: object) -> bool:
        name = _name(path)
        return (
            name is None  # a file that is open already
            or name.startswith((*_HARMLESS, *self._roots))
            or name in (os.devnull, *(root.rstrip(os.sep) for root in self._roots))
            or os.path.basename(name).startswith(".coverage")
        )

    def _note(self, text: str) -> None:
        os.write(self._log, (text.replace("\n", " ") + "\n").encode("utf-8", "replace"))

    def _die_before(self, name: str | None) -> None:
        if name in self._deadly:
            self._finished.add(str(name))
            if len(self._finished) > 1:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
                time.sleep(60)  # it does not come back from here

    def _stop_here(self) -> None:
        with self._meeting:
            self._met += 1
            here, go = (os.path.join(str(self._meet), n) for n in ("here", f"go-{self._met}"))
            with open(here + ".part", "w", encoding="ascii") as file:
                file.write(str(self._met))
            os.replace(here + ".part", here)
            until = time.monotonic() + 600  # of whoever looks around; the kit ends it long before
            while not os.path.exists(go) and time.monotonic() < until:
                time.sleep(0.002)

    def _look_at_start(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note which program gets a secret, and how."""
        if event == "os.system":
            command, environment = [arguments[0]], None
        else:
            command, environment = (arguments[place] for place in _STARTS[event])
        command = [command] if isinstance(command, (str, bytes, os.PathLike)) else [*command]
        words = [os.fsdecode(word) for word in command]
        given = os.environ if environment is None else environment
        values = {os.fsdecode(value) for value in dict(given).values()}
        program = os.path.basename(words[0].split(" ")[0]) if words else "a program"
        for name, secret in self._secrets.items():
            if any(secret in word for word in words):
                self._note(f"{TELLS}{name} in the arguments of {program}")
            if secret in values:
                self._note(f"{TELLS}{name} in the environment of {program}")


def _name(path: object) -> str | None:
    if not isinstance(path, (str, bytes, os.PathLike)):
        return None
    return os.path.abspath(os.fsdecode(path))


def main() -> int:
    """Install the hook, then serve one request as the worker does."""
    rules = json.loads(os.environ.pop(VARIABLE))
    if rules.get("traced"):
        from uploader_kit.tracing import command

        os.environ[VARIABLE] = json.dumps({**rules, "traced": False})
        line = [*command(rules["trace"]), sys.executable, "-m", "uploader_kit.guard"]
        os.execvp(line[0], line)  # noqa: S606
    from uploader_core.workers.child import main as serve
    from uploader_kit.asking import OPERATIONS
    from uploader_kit.disguise import put_on
    from uploader_kit.peak import Peak

    put_on(rules.get("shift") or 0, rules.get("host"))
    peak = Peak(rules["peak"])
    sys.addaudithook(Watch(rules, peak.look))
    peak.start()
    if rules.get("size") is not None:
        _limit_files(int(rules["size"]))
    return serve(OPERATIONS)


def _limit_files(size: int) -> None:
    """Die, as by a kill, as soon as a file gets larger."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # SIGXFSZ would leave a core file


if __name__ == "__main__":
    sys.exit(main())
