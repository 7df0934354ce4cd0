"""A proxy in front of a registry that does to requests what networks and servers do to them."""

from __future__ import annotations

import contextlib
import http.client
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from urllib.parse import urlsplit

from loopback_server import QuietHandler, make_server, running


@dataclass
class Fault:
    """What happens to a request.

    Attributes:
        kind: ``refuse`` answers with a status at once, ``stall`` says nothing for a while, ``drop``
            breaks the connection after some bytes of the body, once the registry has noticed,
            ``late`` answers after a while, or to nobody as soon as the client has hung up,
            ``lose`` breaks the connection where the answer would come, ``held`` brings the request
            after a while, when nobody waits for the answer any more, ``change`` changes the first
            byte of the body.
        path: Which requests, ``METHOD /path``.
        times: How many of them.
        status: Of a refusal.
        seconds: How long a while is.
        after: Bytes of the body that pass.
        headers: Of a refusal.
    """

    kind: str
    path: str
    times: int = 1
    status: int = 503
    seconds: float = 0.5
    after: int = 0
    headers: tuple[tuple[str, str], ...] = ()


class BadLine:
    """A proxy; use :meth:`running`.

    Attributes:
        faults: That are still to come.
        requests: ``METHOD /path`` of all that came.
        received: Bytes of the bodies of all requests.
        hit: How many requests met a fault.
        spared: How many that would meet one pass before.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._upstream = (parts.hostname, parts.port)
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.received = 0
        self.hit = 0
        self.spared = 0
        self._guard = threading.Condition()
        self._running = 0
        self._over = threading.Event()
        line = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    super().handle_one_request()
                    return
                self.close_connection = True

            def _serve(self) -> None:
                with line._counted():
                    line._serve(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        self._server = make_server(Handler)
        self._server.block_on_close = False
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator[BadLine]:
        """Serve until the block ends."""
        with running(self._server):
            try:
                yield self
            finally:
                self._over.set()

    def count(self, pattern: str) -> int:
        """Return how many requests came to a place."""
        return sum(bool(re.match(pattern, request)) for request in self.requests)

    def settle(self) -> None:
        """Wait until no request is under way, those that nobody waits for included."""
        with self._guard:
            settled = self._guard.wait_for(lambda: not self._running, timeout=60)
        assert settled, "a request is still under way"

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._guard:
            self._running += 1
        try:
            yield
        finally:
            with self._guard:
                self._running -= 1
                self._guard.notify_all()

    def _fault_for(self, request: str) -> Fault | None:
        with self._guard:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times > 0 and re.match(fault.path, request):
                    if self.spared > 0:
                        self.spared -= 1
                        return None
                    fault.times -= 1
                    self.hit += 1
                    return fault
        return None

    def _serve(self, client: BaseHTTPRequestHandler) -> None:
        fault = self._fault_for(f"{client.command} {client.path}")
        kind = "" if fault is None else fault.kind
        length = int(client.headers.get("Content-Length") or 0)
        if fault is not None and kind == "refuse":
            self._drain(client, length)
            client.send_response(fault.status)
            for name, value in (*fault.headers, ("Content-Length", "0")):
                client.send_header(name, value)
            client.end_headers()
            return
        if fault is not None and kind == "stall":
            self._over.wait(fault.seconds)
            _reset(client)
            return
        upstream = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            upstream.putrequest(client.command, client.path, skip_host=True,
                                skip_accept_encoding=True)  # fmt: skip
            for name, value in client.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders()
            passes = length if fault is None or kind != "drop" else min(length, fault.after)
            if fault is not None and kind == "held":
                held = client.rfile.read(length)
                self._over.wait(fault.seconds)
                upstream.send(held)
            elif kind == "change" and length:
                first = client.rfile.read(1)
                upstream.send(bytes([first[0] ^ 1]))
                self._pass_on(client, upstream, length - 1)
            else:
                self._pass_on(client, upstream, passes)
            if kind == "drop":
                _break_off(upstream)
                _reset(client)
                return
            answer = upstream.getresponse()
            body = answer.read()
            if fault is not None and kind == "late":
                self._wait_for_the_end_of(client, fault.seconds)
            if kind in ("lose", "held"):
                _reset(client)
                return
            client.send_response(answer.status)
            length_told = False
            for name, value in answer.getheaders():
                if name.lower() in ("transfer-encoding", "connection", "date", "server"):
                    continue
                length_told |= name.lower() == "content-length"
                client.send_header(name, value)
            if not length_told:
                client.send_header("Content-Length", str(len(body)))
            client.end_headers()
            client.wfile.write(body)
        finally:
            upstream.close()

    def _pass_on(
        self, client: BaseHTTPRequestHandler, upstream: http.client.HTTPConnection, length: int
    ) -> None:
        while length > 0:
            block = b""
            with contextlib.suppress(OSError):
                block = client.rfile.read(min(65536, length))
            if not block:
                _break_off(upstream)
                raise ConnectionError("the client is gone")
            with self._guard:
                self.received += len(block)
            upstream.send(block)
            length -= len(block)

    def _wait_for_the_end_of(self, client: BaseHTTPRequestHandler, seconds: float) -> None:
        """Wait until a client that has said everything hangs up, for some seconds at most."""
        end = time.monotonic() + seconds
        while not self._over.is_set() and time.monotonic() < end:
            if select.select([client.connection], [], [], 0.02)[0]:
                return

    def _drain(self, client: BaseHTTPRequestHandler, length: int) -> None:
        while length > 0 and (block := client.rfile.read(min(65536, length))):
            with self._guard:
                self.received += len(block)
            length -= len(block)


def _break_off(upstream: http.client.HTTPConnection) -> None:
    """End a body too early, and wait until the registry has done with it what it does."""
    with contextlib.suppress(OSError):
        upstream.sock.shutdown(socket.SHUT_WR)
        while upstream.sock.recv(65536):
            pass


def _reset(client: BaseHTTPRequestHandler) -> None:
    """End a connection as a dying server does, without a word."""
    client.close_connection = True
    linger = struct.pack("ii", 1, 0)
    client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.connection.close()
