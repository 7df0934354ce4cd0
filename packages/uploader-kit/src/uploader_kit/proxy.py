"""A TCP proxy in front of a real server, which loses connections when it is told to."""

from __future__ import annotations

import contextlib
import random
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
        chance: With which any other connection is cut as well, after a random number of bytes.
        within: Most bytes, of both directions, after which that happens.
        random: Where chance comes from; a test gives it a seed.
        connections: How many there have been.
        lost: Set when one was cut.
        broken: How many were cut.
        answered: Bytes that the server sent.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.cuts = 0
        self.after = 0
        self.chance = 0.0
        self.within = 1 << 20
        self.random = random.Random()  # noqa: S311 - faults are no secret
        self.connections = 0
        self.lost = threading.Event()
        self.broken = 0
        self.answered = 0
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

    def _take_cut(self) -> _Budget:
        """Return how many bytes a new connection may carry."""
        with self._guard:
            self.connections += 1
            if self.cuts > 0:
                self.cuts -= 1
                return _Budget(left=self.after, both=False)
            if self.random.random() < self.chance:
                return _Budget(left=self.random.randrange(self.within), both=True)
            return _Budget(left=None, both=False)

    def _serve(self, client: Any) -> None:
        budget = self._take_cut()
        with contextlib.suppress(OSError), socket.create_connection(self._upstream) as server:
            back = threading.Thread(target=self._answer, args=(server, client, budget), daemon=True)
            back.start()
            while data := client.recv(65536):
                if not budget.take(len(data)):
                    break
                server.sendall(data)
            if budget.spent:
                self._cut(client)
            else:
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                back.join()

    def _answer(self, server: Any, client: Any, budget: _Budget) -> None:
        """Pass on what the server sends."""
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                with self._guard:
                    self.answered += len(data)
                if budget.both and not budget.take(len(data)):
                    # A half of it arrives, so that an answer can break off in its middle.
                    client.sendall(data[: len(data) // 2])
                    self._cut(client)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def _cut(self, client: Any) -> None:
        """Reset a connection, as a dying server or a broken line does, and no orderly end."""
        with contextlib.suppress(OSError):
            linger = b"\1\0\0\0\0\0\0\0"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            # Closed while another thread reads from it, it would stay open.
            client.shutdown(socket.SHUT_RD)
        client.close()
        with self._guard:
            self.broken += 1
        self.lost.set()


class _Budget:
    """Bytes that a connection may carry until it is cut.

    Args:
        left: How many; None for any number.
        both: Whether those from the server count.
    """

    def __init__(self, *, left: int | None, both: bool) -> None:
        self._left = left
        self.both = both
        self._guard = threading.Lock()

    @property
    def spent(self) -> bool:
        """Whether it carried more."""
        return self._left is not None and self._left < 0

    def take(self, size: int) -> bool:
        """Count bytes, and return whether they may pass."""
        with self._guard:
            if self._left is not None:
                self._left -= size
            return not self.spent
