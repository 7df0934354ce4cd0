"""Servers of HTTP on this machine, for as long as a test lasts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class QuietHandler(BaseHTTPRequestHandler):
    """Prints no line for each request."""

    def log_message(self, format: str, *args: object) -> None:
        pass


def make_server(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """Return a server on a free port of the loopback interface."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


@contextlib.contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    """Serve until the block ends; gives the address."""
    # The default of half a second between looks would be spent at the end of every test.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve with a handler until the block ends; gives the address."""
    with running(make_server(handler)) as url:
        yield url
