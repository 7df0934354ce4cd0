"""HTTP side of the loopback Hub: connections, bodies, answers, faults. Routes are in ``routes``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from loopback_hub.faults import Faults
from loopback_hub.identities import Identities
from loopback_hub.rates import Rates
from loopback_hub.store import Store
from loopback_hub.xet import XetStore


@dataclass(frozen=True, slots=True)
class Token:
    """Who a token stands for.

    Attributes:
        user: The account.
        role: ``write``, ``read``, ``fineGrained``, or ``identity`` for a token that a job of a CI
            got for its identity: ``scopes`` holds the one repository that it is for.
        organisations: Names that the account belongs to.
        scopes: For a fine-grained token, the owners and repositories that it may write to.
        read_only: Organisations in which the account may only read.
    """

    user: str
    role: str
    organisations: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()

    def sees(self, owner: str, repo_id: str = "") -> bool:
        """Return whether it sees what is private to an owner, or one repository of it."""
        if self.role == "identity":
            return repo_id in self.scopes
        return owner in (self.user, *self.organisations, *self.read_only)

    def may_write(self, repo_id: str) -> bool:
        """Return whether it may write to a repository, or to anything of an owner."""
        owner = repo_id.split("/")[0]
        if self.role == "identity":
            return repo_id in self.scopes
        if owner != self.user and owner not in self.organisations:
            return False
        if self.role == "fineGrained":
            return owner in self.scopes or repo_id in self.scopes
        return self.role == "write"


@dataclass
class State:
    """Everything that outlives a request; ``dispatch`` answers one, or raises a Refusal."""

    store: Store
    dispatch: Callable[[Handler], None]
    part_size: int
    page_size: int
    quota: int | None = None
    xet: XetStore | None = None
    rates: Rates = field(default_factory=Rates)
    identities: Identities = field(default_factory=Identities)
    url: str = ""
    faults: Faults = field(default_factory=Faults)
    tokens: dict[str, Token] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    bytes_received: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)


class Refusal(Exception):
    """An answer that is an error, in the Hub's own form."""

    def __init__(self, status: int, message: str, code: str | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.extra = extra


class _Gone(Exception):
    """The connection is dropped on purpose, or the client dropped it."""


class Body:
    """The request's body as a stream, with its length or in chunks."""

    def __init__(self, handler: Handler, drop_after: int | None) -> None:
        self._source = handler.rfile
        self._hub = handler.hub
        self._chunked = "chunked" in (handler.headers.get("Transfer-Encoding") or "").lower()
        self._left = int(handler.headers.get("Content-Length") or 0)
        self._drop_after = drop_after
        self._read = 0
        self._ended = not self._chunked and self._left == 0

    def read(self, size: int = -1) -> bytes:
        parts = []
        while not self._ended and (size < 0 or size > 0):
            block = self._next(1 << 20 if size < 0 else min(size, 1 << 20))
            if not block:
                break
            parts.append(block)
            if size > 0:
                size -= len(block)
        return b"".join(parts)

    def blocks(self) -> Iterator[bytes]:
        """Yield the body in pieces as they arrive."""
        while block := self.read(1 << 20):
            yield block

    def drain(self) -> None:
        """Read what is left, so that the connection can be used again."""
        for _ in self.blocks():
            pass

    def _next(self, size: int) -> bytes:
        if self._chunked and self._left == 0:
            line = self._source.readline()
            if not line:
                raise _Gone
            self._left = int(line.split(b";")[0], 16)
            if self._left == 0:
                self._source.readline()
                self._ended = True
                return b""
        block = self._source.read(min(size, self._left))
        self._left -= len(block)
        if self._left == 0:
            if self._chunked:
                self._source.readline()
            else:
                self._ended = True
        if not block:
            raise _Gone  # what was cut may end like something whole
        self._read += len(block)
        with self._hub.guard:
            self._hub.bytes_received += len(block)
        if self._drop_after is not None and self._read >= self._drop_after:
            raise _Gone
        return block


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    hub: ClassVar[State]
    protocol_version = "HTTP/1.1"
    body: Body
    _late = 0.0
    _left: Mapping[str, str] = MappingProxyType({})

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    @property
    def query(self) -> Mapping[str, str]:
        return {k: v[-1] for k, v in parse_qs(urlsplit(self.path).query).items()}

    @property
    def route(self) -> tuple[str, ...]:
        """Path segments; revisions arrive with ``%2F`` and are decoded after the split."""
        return tuple(unquote(p) for p in urlsplit(self.path).path.split("/") if p)

    @property
    def origin(self) -> str:
        """Address by which the client came here, which may be a proxy's."""
        host = self.headers.get("Host")
        return f"http://{host}" if host else self.hub.url

    def json_body(self) -> Any:
        text = self.body.read()
        return json.loads(text) if text else {}

    def token(self) -> Token | None:
        """Return who asks; None for nobody.

        Raises:
            Refusal: A token that this Hub did not give out.
        """
        header = self.headers.get("Authorization") or ""
        if not header.startswith("Bearer "):
            return None
        token = self.hub.tokens.get(header.removeprefix("Bearer "))
        if token is None or not self.hub.identities.is_good(header.removeprefix("Bearer ")):
            raise Refusal(401, "Invalid credentials in Authorization header")
        return token

    def answer(
        self,
        data: Any = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> None:
        """Send JSON or bytes."""
        self.body.drain()
        if self._late:
            self.hub.closing.wait(self._late)
            self._late = 0.0
        body = json.dumps(data if data is not None else {}).encode() if content is None else content
        self.send_response(status)
        sent = {"Content-Type": "application/json", **self._left, **(headers or {})}
        if "Content-Length" not in sent:
            sent["Content-Length"] = str(len(body))
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _serve(self) -> None:
        try:
            self._respond()
        except (_Gone, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _respond(self) -> None:
        line = f"{self.command} {self.path}"
        with self.hub.guard:
            self.hub.requests.append(line)
        fits, self._left = self.hub.rates.count(line, self.headers.get("Authorization") or "")
        if not fits:
            self.body = Body(self, None)
            self.answer({"error": "You have been rate limited."}, status=429)
            return
        fault = self.hub.faults.take(line)
        self.body = Body(self, fault.after if fault and fault.kind == "drop" else None)
        try:
            if fault is not None and fault.kind == "refuse":
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                headers = {k: v.replace("{token}", token) for k, v in fault.headers.items()}
                self.answer({"error": "ordered"}, status=fault.status, headers=headers)
                return
            if fault is not None and fault.kind == "stall":
                self.hub.closing.wait(fault.seconds)
            if fault is not None and fault.kind == "late":
                self._late = fault.seconds
            if fault is not None and fault.kind == "lose":
                self._lose()
            self.hub.dispatch(self)
        except Refusal as refusal:
            headers = {"X-Error-Message": refusal.message}
            if refusal.code is not None:
                headers["X-Error-Code"] = refusal.code
            data = {"error": refusal.message, **refusal.extra}
            self.answer(data, status=refusal.status, headers=headers)
            self.close_connection |= fault is not None and fault.kind == "lose"

    def _lose(self) -> None:
        """Do the work and swallow the answer."""

        def swallow(*_: Any, **__: Any) -> None:
            self.body.drain()

        self.answer = swallow  # type: ignore[method-assign]
        self.hub.dispatch(self)
        raise _Gone
