"""A process that has imported what a step needs, and forks a worker for each request.

``python -m uploader_core.batch.forking MODULE:FUNCTION``: standard input is a Unix socket. It
says first whether it can fork: ``ready``, or ``plain`` where the module cannot be imported or its
import left threads or a GPU in use, which no fork survives. Then every message brings three files,
the standard streams of a worker, and is answered by its number; ``NUMBER CODE`` says later how it
ended.

A worker begins as the state after the import, whatever those before it did, so that it makes the
same bytes as one that was started by itself.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import sys
import threading
from typing import NoReturn

from uploader_core.workers import child, messages

READY = "ready"
PLAIN = "plain"


def main(run: str) -> int:
    """Serve until the socket is closed.

    Args:
        run: Dotted name of the function that the workers will call.
    """
    link = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    child.load(messages.Import(run=run, owner=""))
    if not _can_fork(run):
        link.sendall(f"{PLAIN}\n".encode())
        return 0
    link.sendall(f"{READY}\n".encode())
    _serve(link)
    return 0


def _can_fork(run: str) -> bool:
    """Say whether a forked copy of this process works like a new one."""
    if run.partition(":")[0] not in sys.modules or threading.active_count() > 1:
        return False
    torch = sys.modules.get("torch")
    return torch is None or not torch.cuda.is_initialized()


def _serve(link: socket.socket) -> None:
    ended, waker = os.pipe()
    os.set_blocking(waker, False)
    os.set_blocking(ended, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(link, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == ended:
                    with contextlib.suppress(BlockingIOError):
                        os.read(ended, 4096)
                    _report_ended(link)
                    continue
                message, streams, _, _ = socket.recv_fds(link, 1, 3)
                if not message:
                    return  # the run is gone; its workers notice by themselves
                leads, begins = os.pipe()
                pid = os.fork()
                if pid == 0:
                    selector.close()
                    os.close(leads)
                    os.setsid()
                    os.close(begins)
                    _become_worker(link, streams, (ended, waker))
                os.close(begins)
                os.read(leads, 1)  # who knows its number may end its group at once
                for stream in (*streams, leads):
                    os.close(stream)
                link.sendall(f"{pid}\n".encode())


def _report_ended(link: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        link.sendall(f"{pid} {os.waitstatus_to_exitcode(status)}\n".encode())


def _become_worker(link: socket.socket, streams: list[int], ours: tuple[int, int]) -> NoReturn:
    """Do one request on the given standard streams, and end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        link.close()
        for number in ours:
            os.close(number)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        code = child.main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream_ in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream_.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
