"""A TCP proxy in front of a real server, which loses connections when it is told to."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit


class FaultProxy:
    """Passes bytes on to a server, and cuts connections.

    Args:
        url: The real server, ``http://127.0.0.1:1234/...``.

    Attributes:
        url: The same through the proxy.
        cuts: How many more connections will be cut.
        after: Bytes from the client that a connection passes on before it is cut.
        connections: How many there have been.
        lost: Set when one was cut.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.cuts = 0
        self.after = 0
        self.connections = 0
        self.lost = threading.Event()
        self._guard = threading.Lock()
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                proxy._serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        port = self._server.server_address[1]
        self.url = urlunsplit(parts._replace(netloc=f"127.0.0.1:{port}"))

    @contextlib.contextmanager
    def running(self) -> Iterator[FaultProxy]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _take_cut(self) -> int | None:
        """Return after how many bytes this connection is cut, None for one that lives."""
        with self._guard:
            self.connections += 1
            if self.cuts <= 0:
                return None
            self.cuts -= 1
            return self.after

    def _serve(self, client: Any) -> None:
        budget = self._take_cut()
        with contextlib.suppress(OSError), socket.create_connection(self._upstream) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            while data := client.recv(65536):
                if budget is not None:
                    budget -= len(data)
                    if budget < 0:
                        break
                server.sendall(data)
            if budget is not None and budget < 0:
                # A reset, as a dying server or a broken line gives it, and no orderly end.
                linger = b"\1\0\0\0\0\0\0\0"
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.close()
                self.lost.set()
            else:
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
