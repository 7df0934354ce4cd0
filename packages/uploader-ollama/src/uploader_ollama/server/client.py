"""Requests to a running Ollama: streamed both ways, errors as uploader's own.

requests, because uploader-gguf has it already: it sends a body piece by piece under a known length,
which Ollama wants, and gives the lines of an answer as they come. Proxies of the environment are
not asked: an Ollama that is not on this machine was named by the user.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from uploader_core.plugin import (
    CHUNK,
    IntegrityError,
    RefusedError,
    SpaceError,
    TemporaryError,
    UploaderError,
)
from uploader_ollama.server.address import VARIABLE, Address

_ATTEMPTS = 4
_FIRST_WAIT = 0.5
_CONNECT = 10.0


class Client:
    """One Ollama.

    Args:
        address: Where it listens.
        timeout: Seconds without an answer before it counts as gone.
    """

    def __init__(self, address: Address, *, timeout: float) -> None:
        self.address = address
        self._timeout = (_CONNECT, timeout)
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def version(self) -> str:
        """Return what ``/api/version`` says.

        Raises:
            TemporaryError: Nothing answers.
            RefusedError: What answers is no Ollama.
        """
        answer = self._json("GET", "/api/version")
        version = answer.get("version") if isinstance(answer, dict) else None
        if not isinstance(version, str):
            raise RefusedError(
                f"what answers at {self.address.url} is no Ollama",
                owner=VARIABLE,
                safe="nothing was sent",
                next=f"set {VARIABLE} to the address of an Ollama",
            )
        return version

    def has_blob(self, digest: str) -> bool:
        """Return whether a blob is there, by its digest ``sha256:...``."""
        found = self._retried(lambda: self._ask("HEAD", f"/api/blobs/{digest}", (200, 404)))
        return bool(found == 200)

    def send_blob(self, path: Path, size: int, digest: str, sent: Callable[[int], None]) -> None:
        """Bring a file; nothing that is there already is sent.

        Args:
            path: The file.
            size: Bytes that it must have.
            digest: ``sha256:...``; Ollama refuses other content.
            sent: Told the bytes of each piece that went out.

        Raises:
            IntegrityError: The file is not what was recorded.
        """

        def attempt() -> None:
            if self._ask("HEAD", f"/api/blobs/{digest}", (200, 404)) == 200:
                return  # also when only the answer to an earlier attempt was lost
            body = _Body(path, size, sent)
            self._ask("POST", f"/api/blobs/{digest}", (200, 201), data=body)

        self._retried(attempt)

    def create(self, request: Mapping[str, Any], told: Callable[[Mapping[str, Any]], None]) -> None:
        """Create a model.

        Args:
            request: Body of ``/api/create``.
            told: Given each line of the answer but errors.

        Raises:
            UploaderError: Ollama's error, also one in the middle of an answer with status 200.
        """
        last: Mapping[str, Any] = {}

        def attempt() -> None:
            nonlocal last
            for line in self._lines("/api/create", {**request, "stream": True}):
                last = line
                if "error" in line:
                    raise self._refused(str(line["error"]))
                told(line)

        self._retried(attempt)
        if last.get("status") != "success":
            raise TemporaryError(
                f"Ollama ended its answer with {last.get('status')!r} and not with success",
                owner=self.address.url,
                next="run the same command again",
            )

    def show(self, name: str, *, verbose: bool = False) -> dict[str, Any] | None:
        """Return what Ollama says of a model; None when there is none of that name."""
        body = {"model": name, "verbose": verbose}
        answer = self._json("POST", "/api/show", (200, 404), json=body)
        return answer if isinstance(answer, dict) and "error" not in answer else None

    def models(self) -> dict[str, str]:
        """Return the digests of all models by :attr:`~uploader_ollama.model.name.Name.key`."""
        answer = self._json("GET", "/api/tags")
        return {str(m["name"]).casefold(): str(m["digest"]) for m in answer.get("models") or ()}

    def copy(self, source: str, target: str) -> None:
        """Give a model another name besides."""
        body = {"source": source, "destination": target}
        self._retried(lambda: self._ask("POST", "/api/copy", (200,), json=body))

    def delete(self, name: str) -> None:
        """Take a model away; nothing when there is none."""
        self._retried(lambda: self._ask("DELETE", "/api/delete", (200, 404), json={"model": name}))

    # -- inside --------------------------------------------------------------------------------

    def _json(self, method: str, path: str, good: tuple[int, ...] = (200,), **more: Any) -> Any:
        def attempt() -> Any:
            with self._answer(method, path, **more) as answer:
                self._check(answer, good)
                try:
                    return answer.json()
                except ValueError:
                    return {}

        return self._retried(attempt)

    def _ask(self, method: str, path: str, good: tuple[int, ...], **more: Any) -> int:
        with self._answer(method, path, **more) as answer:
            self._check(answer, good)
            return answer.status_code

    def _lines(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        with self._answer("POST", path, json=body, stream=True) as answer:
            self._check(answer, (200,))
            for line in answer.iter_lines(chunk_size=None):
                if line.strip():
                    yield json.loads(line)

    @contextlib.contextmanager
    def _answer(self, method: str, path: str, **more: Any) -> Iterator[requests.Response]:
        url = self.address.url + path
        try:
            with self._session.request(
                method, url, timeout=self._timeout, allow_redirects=False, **more
            ) as answer:
                yield answer
        except (requests.RequestException, ValueError) as error:
            refused = "refused" in str(error)
            raise TemporaryError(
                f"nothing listens at {self.address.url}"
                if refused
                else f"the connection to {self.address.url} was lost: {type(error).__name__}",
                owner=f"Ollama at {self.address.url}",
                safe="the release folder is whole",
                next=f"start it with `ollama serve`, or set {VARIABLE}"
                if refused
                else "run the same command again; what is there is not sent again",
            ) from error

    def _check(self, answer: requests.Response, good: tuple[int, ...]) -> None:
        if answer.status_code in good:
            return
        try:
            said = str(answer.json()["error"])
        except (ValueError, KeyError, TypeError):
            said = answer.text[:200]
        if answer.status_code in (429, 502, 503, 504):
            raise TemporaryError(
                f"Ollama answers {answer.status_code}: {said}",
                owner=self.address.url,
                next="run the same command again",
            )
        raise self._refused(said or f"status {answer.status_code}", answer.status_code)

    def _refused(self, said: str, status: int = 0) -> UploaderError:
        """Return Ollama's own words as an error of the right sort."""
        owner = f"Ollama at {self.address.url}"
        if "digest mismatch" in said:
            return IntegrityError(
                f"a file changed since it was recorded: {said}",
                owner=owner,
                safe="no model was made of it",
                next="run the same command again; the file will be made anew",
            )
        if "no space left" in said:
            return SpaceError(
                f"the disk of Ollama is full: {said}",
                owner=owner,
                safe="what arrived stays there",
                next="make room where OLLAMA_MODELS lies, then run the same command again",
            )
        if status == 403:
            return RefusedError(
                f"Ollama does not talk to {self.address.host!r}",
                owner=owner,
                next=f"set {VARIABLE} to the address that it listens at, or let it listen there",
            )
        return RefusedError(
            f"Ollama says: {said}",
            owner=owner,
            safe="the release folder is whole",
            next="see what Ollama's log says of it (`journalctl -u ollama`)",
        )

    def _retried(self, attempt: Callable[[], Any]) -> Any:
        wait = _FIRST_WAIT
        for _ in range(_ATTEMPTS - 1):
            try:
                return attempt()
            except TemporaryError as error:
                if "nothing listens" in error.what:
                    raise
            time.sleep(wait)
            wait *= 2
        return attempt()


class _Body:
    """A file as a body of known length, read piece by piece."""

    def __init__(self, path: Path, size: int, sent: Callable[[int], None]) -> None:
        self._path = path
        self._size = size
        self._sent = sent

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        left = self._size
        with self._path.open("rb") as file:
            while left:
                block = file.read(min(CHUNK, left))
                if not block:
                    raise IntegrityError(
                        f"{self._path.name} is shorter than it was recorded",
                        owner=str(self._path),
                        safe="no model was made of it",
                        next="run the same command again; the file will be made anew",
                    )
                left -= len(block)
                yield block
                self._sent(len(block))
