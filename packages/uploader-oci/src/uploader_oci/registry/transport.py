"""Requests to one registry: login, redirects, patience, and errors in our words.

Only the registry itself is sent an ``Authorization``; the storage that it redirects to never is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from uploader_core.plugin import RefusedError
from uploader_oci.registry.answer import Answer, refusal
from uploader_oci.registry.line import Body, Line, Lost, Options, read
from uploader_oci.registry.login import Login
from uploader_oci.registry.reference import is_loopback

if TYPE_CHECKING:
    import httpx

ATTEMPTS = 6
FIRST_ATTEMPTS = 3
"""Of a registry that never answered: its name is wrong, or the network is not there."""
_NOBODY = "check the name of the registry and the network, then run the same command again"
_LONGEST_WAIT = 300
_MOST_REDIRECTS = 5


class Transport:
    """Sends requests to a registry; close it when it is not needed any more.

    Args:
        host: Where the registry answers, with its port.
        options: See :class:`Options`.
        make_login: Makes what logs in, of this transport.
        tell: Is told every second what it waits for; it may raise to stop.

    Raises:
        RefusedError: The host would be spoken to without encryption, and nobody allowed that.
    """

    def __init__(
        self,
        host: str,
        options: Options,
        make_login: Callable[[Transport], Login],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.options = options
        self.host = host
        self.waits = 0
        self._met = False
        self._line = Line(host, options)
        self._tell = tell
        self.login = make_login(self)

    @property
    def sent(self) -> int:
        """Bytes of bodies that went out."""
        return self._line.sent

    def close(self) -> None:
        """Close all connections."""
        self._line.close()

    def url(self, path: str) -> str:
        """Return the address of something of the registry, ``/v2/...`` or one that it gave.

        Raises:
            RefusedError: It is on another machine, and http.
        """
        joined = urljoin(self._line.origin + "/", path)
        ours, theirs = urlsplit(self._line.origin), urlsplit(joined)
        if theirs.hostname == ours.hostname and theirs.scheme == "http" and ours.scheme == "https":
            # Registries behind a proxy that ends encryption name themselves so. Ours is the way.
            return urlunsplit(theirs._replace(scheme="https", netloc=ours.netloc))
        here = is_loopback(ours.netloc) and is_loopback(theirs.netloc)
        if theirs.scheme != "https" and not (here or self.options.plain_http):
            raise self._in_the_open(theirs.netloc)
        return joined

    def request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        expect: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: bytes | Body | None = None,
        length: int | None = None,
        again: bool = True,
    ) -> Answer:
        """Send a request until it gets an answer that says something.

        Args:
            method: Of HTTP.
            path: Below the registry, or an address that the registry gave.
            what: What is being done, to begin a sentence: ``sending model.gguf``.
            expect: Statuses that are answers.
            headers: Besides ``Authorization``.
            body: Bytes, or what makes them.
            length: Bytes of a body that is made.
            again: Whether it may be sent twice. Otherwise :class:`Lost` is raised when it is not
                known what became of it.

        Raises:
            UploaderError: What the registry refuses, in our words.
        """
        for attempt in range(1, ATTEMPTS + 1):
            lost: Lost
            try:
                with self._opened(method, path, headers or {}, body, length, what) as response:
                    answer = read(response)
                self._met = True
            except Lost as error:
                lost = error.replace(what=f"{what} failed: {error.what}")
                if not self._met:
                    lost = lost.replace(safe="nothing was sent", next=_NOBODY)
            else:
                if answer.status in expect:
                    return answer
                if not answer.passing:
                    raise refusal(what, answer, self._place(answer), self.login.origin)
                lost = self._line.lost(f"{what} failed: {answer.said}", answer.wait)
            if not again or attempt == self._attempts:
                raise lost
            self.pause(lost, attempt)
        raise AssertionError(what)

    @contextlib.contextmanager
    def stream(
        self, path: str, *, what: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[int, Mapping[str, str], Iterator[bytes]]]:
        """Open what is too large to be held: status, headers and the blocks of the body.

        Raises:
            Lost: The line; also while the blocks are read.
            UploaderError: What the registry refuses.
        """
        with self._opened("GET", path, headers, None, None, what) as response:
            status = response.status_code
            if status not in (200, 206):
                answer = read(response)
                error = refusal(what, answer, self._place(answer), self.login.origin)
                raise self._line.lost(error.what) if answer.passing else error
            yield status, response.headers, response.iter_raw(256 << 10)

    def pause(self, lost: Lost, attempt: int) -> None:
        """Wait before the next attempt, as long as the registry says or twice as long each time."""
        self.waits += 1
        asked = 2 ** (attempt - 1) if lost.wait is None else lost.wait
        for left in range(min(_LONGEST_WAIT, asked), 0, -1):
            self._tell(f"{self.host}: trying again in {left} s")
            time.sleep(1)

    def ask(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Send one request without a login of ours, as the server of tokens gets it."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._line.send(method, url, headers, body, None) as response:
                    answer = read(response)
            except Lost as error:
                if attempt == self._attempts:
                    raise
                self.pause(error, attempt)
                continue
            if not answer.passing or attempt == ATTEMPTS:
                return answer
            self.pause(self._line.lost(answer.said, answer.wait), attempt)
        raise AssertionError(url)

    @property
    def _attempts(self) -> int:
        return ATTEMPTS if self._met else FIRST_ATTEMPTS

    # -- inside --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Body | None,
        length: int | None,
        what: str,
    ) -> Iterator[httpx.Response]:
        """Send a request, following what it is told: other addresses, and to log in (twice)."""
        url, redirects, logins = self.url(path), 0, 0
        with contextlib.ExitStack() as stack:
            while True:
                used = self.login.header() if self._is_ours(url) else None
                given = {**headers} if used is None else {**headers, "Authorization": used}
                connection = self._line.send(method, url, given, body, length)
                response = stack.enter_context(connection)
                status = response.status_code
                if status == 401 and self._is_ours(url) and logins < 2:
                    logins += 1
                    asked = ", ".join(response.headers.get_list("www-authenticate"))
                    read(response)
                    if self.login.challenged(asked, used):
                        stack.pop_all().close()
                        continue
                    denied = Answer(status=401, headers={}, content=b"", url=url)
                    raise refusal(what, denied, self.host, self.login.origin)
                target = response.headers.get("location")
                moved = (301, 302, 303, 307, 308) if method in ("GET", "HEAD") else (307, 308)
                if target and status in moved:
                    redirects += 1
                    if redirects > _MOST_REDIRECTS:
                        raise RefusedError(
                            f"{self.host} redirects without an end",
                            owner=self.host,
                            next="tell whoever runs the registry",
                        )
                    url = self._redirected(url, target)
                    stack.pop_all().close()
                    continue
                yield response
                return

    def _is_ours(self, url: str) -> bool:
        ours, theirs = urlsplit(self._line.origin), urlsplit(url)
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)

    def _redirected(self, url: str, target: str) -> str:
        """Return where a redirect leads.

        Raises:
            RefusedError: From an encrypted address to one that is not.
        """
        joined = urljoin(url, target)
        parts = urlsplit(joined)
        if urlsplit(url).scheme == "https" and parts.scheme != "https":
            raise self._in_the_open(parts.netloc)
        return joined

    def _in_the_open(self, place: str) -> RefusedError:
        return RefusedError(
            f"{self.host} names {place} to go on, and without encryption",
            owner=self.host,
            safe="nothing was sent there",
            next="tell whoever runs the registry",
        )

    def _place(self, answer: Answer) -> str:
        """Return host and repository of an answer, for messages."""
        path = urlsplit(answer.url).path.removeprefix("/v2/")
        for mark in ("/blobs/", "/manifests/", "/tags/"):
            if mark in path:
                return f"{self.host}/{path.partition(mark)[0]}"
        return self.host
