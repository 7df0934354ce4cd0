"""A server that speaks Ollama's protocol on this machine, of :mod:`ollama_models`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from loopback_server import QuietHandler, serving
from ollama_models import OllamaModels, RefusedByServer
from uploader_ollama.model.name import parse_name


@dataclass(kw_only=True)
class LoopbackOllama(OllamaModels):
    """The server.

    Attributes:
        version: What it says it is.
        requests: Method and path of each request.
        received: Bytes of blobs that arrived.
    """

    version: str = "0.33.0"
    requests: list[tuple[str, str]] = field(default_factory=list)
    received: int = 0
    url: str = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[LoopbackOllama]:
        """Listen on a port of the loopback interface."""
        (self.folder / "blobs").mkdir(parents=True, exist_ok=True)
        handler = type("Handler", (_Handler,), {"ollama": self})
        with serving(handler) as self.url:
            yield self


class _Handler(QuietHandler):
    protocol_version = "HTTP/1.1"
    ollama: LoopbackOllama

    def do_HEAD(self) -> None:
        self._note()
        self._answer(200 if self.ollama.has(self.path.rpartition("/")[2]) else 404)

    def do_GET(self) -> None:
        self._note()
        if self.path == "/api/version":
            self._json({"version": self.ollama.version})
        elif self.path == "/api/tags":
            self._json(self.ollama.tags())
        else:
            self._json({"error": "not found"}, 404)

    def do_DELETE(self) -> None:
        self._note()
        name = str(parse_name(json.loads(self._body())["model"]))
        if self.ollama.manifests.pop(name, None) is None:
            self._json({"error": f"model '{name}' not found"}, 404)
        else:
            self._answer(200)

    def do_POST(self) -> None:
        self._note()
        if self.path.startswith("/api/blobs/"):
            self._blob(self.path.rpartition("/")[2])
            return
        request = json.loads(self._body())
        try:
            if self.path == "/api/create":
                self._stream(self.ollama.create(request), request.get("stream", True))
            elif self.path == "/api/show":
                self._json(self.ollama.show(request))
            elif self.path == "/api/copy":
                source = str(parse_name(request["source"]))
                self.ollama.model(source)
                target = str(parse_name(request["destination"]))
                self.ollama.manifests[target] = self.ollama.manifests[source]
                self._answer(200)
            else:
                self._json({"error": "not found"}, 404)
        except RefusedByServer as error:
            self._json({"error": str(error)}, 404)

    def _blob(self, digest: str) -> None:
        """``CreateBlobHandler``: a digest that is another is 400, one that is there is 200."""
        if self.ollama.has(digest):
            self._body()
            self._answer(200)
            return
        left, seen = int(self.headers["Content-Length"]), hashlib.sha256()
        partial = self.ollama.folder / f"partial-{threading.get_ident()}"
        with partial.open("wb") as file:
            while left:
                block = self.rfile.read(min(left, 1 << 16))
                if not block:  # the line was lost: the temporary file goes
                    partial.unlink()
                    self.close_connection = True
                    return
                left -= len(block)
                self.ollama.received += len(block)
                seen.update(block)
                file.write(block)
        found = f"sha256:{seen.hexdigest()}"
        if found != digest:
            partial.unlink()
            self._json({"error": f"digest mismatch, expected {digest!r}, got {found!r}"}, 400)
            return
        partial.replace(self.ollama.blob(digest))
        self._answer(201)

    def _stream(self, lines: Iterator[dict[str, Any]], streamed: bool) -> None:
        """``streamResponse``: status 200 whatever comes; errors are lines."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        last: dict[str, Any] = {}
        try:
            for last in lines:
                if streamed:
                    self._chunk(last)
        except RefusedByServer as error:
            last = {"error": str(error)}
            if streamed:
                self._chunk(last)
        if not streamed:
            self._chunk(last)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, data: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(data).encode())

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _note(self) -> None:
        self.ollama.requests.append((self.command, self.path))
