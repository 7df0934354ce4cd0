"""A Hugging Face Hub on this machine, for the demo, for tests and for plugin authors.

The unmodified ``huggingface_hub`` client creates repositories, uploads (LFS in one piece and in
parts), lists, downloads and verifies against it. It listens on 127.0.0.1 only and keeps everything
below one folder, where a new server finds it again::

    with LoopbackHub(Path("hub")) as hub:
        api = HfApi(endpoint=hub.url, token=hub.token("me"))
        api.create_repo("me/model", private=True)

Users exist as soon as a token is asked for them. ``hub.faults.add(Fault(...))`` makes requests
fail; ``hub.requests`` tells what was asked, and ``hub.bytes_received`` what was sent.

It serves models only. Without ``xet=True`` Xet is answered with "not here", as self-hosted hubs do.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from loopback_hub.faults import Fault, Faults
from loopback_hub.identities import Identities
from loopback_hub.rates import Rate, Rates
from loopback_hub.routes import dispatch
from loopback_hub.server import Handler, State, Token
from loopback_hub.store import Store, blob_id
from loopback_hub.xet import XetStore

__all__ = ["Fault", "LoopbackHub", "Rate", "blob_id"]


class LoopbackHub:
    """The server; use it as a context manager.

    Args:
        folder: Where repositories and objects are kept.
        part_size: LFS objects larger than this many bytes are uploaded in parts.
        page_size: Entries of one page when a tree is listed.
        port: 0 takes a free one.
        quota: Bytes of private storage that each account has; None for no end.
        xet: Take large files through Xet too, by the client's own store on disk. It needs
            ``hf_xet`` here, to read what was stored.
        rates: How many requests an account may make in a while; by default as many as it likes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        part_size: int = 8 << 20,
        page_size: int = 1000,
        port: int = 0,
        quota: int | None = None,
        xet: bool = False,
        rates: Sequence[Rate] = (),
    ) -> None:
        self._state = State(
            Store(folder),
            dispatch,
            part_size=part_size,
            page_size=page_size,
            quota=quota,
            xet=XetStore(folder / "xet") if xet else None,
            rates=Rates(rates),
        )
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Address of the running server."""
        return self._state.url

    @property
    def store(self) -> Store:
        """Repositories and objects, for a test that looks behind the server."""
        return self._state.store

    @property
    def faults(self) -> Faults:
        """Faults to come."""
        return self._state.faults

    @property
    def identities(self) -> Identities:
        """Whom this Hub trusts without a token that it gave out."""
        return self._state.identities

    def job(self, **claims: str) -> dict[str, str]:
        """Begin a job of a CI as GitHub does; return the variables that it gets for its identity.

        Args:
            claims: What the CI says of it: ``repository``, ``ref``, ``workflow``.
        """
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.identities.begin_job(**claims),
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/_ci/identity?api-version=2.0",
        }

    @property
    def rates(self) -> Rates:
        """What is counted against the rates."""
        return self._state.rates

    @property
    def requests(self) -> list[str]:
        """``METHOD /path`` of every request so far."""
        return self._state.requests

    @property
    def bytes_received(self) -> int:
        """Bytes of all LFS objects and commit bodies so far."""
        return self._state.bytes_received

    def token(
        self,
        user: str,
        *,
        role: str = "write",
        organisations: tuple[str, ...] = (),
        scopes: tuple[str, ...] = (),
        read_only: tuple[str, ...] = (),
    ) -> str:
        """Create a token.

        Args:
            user: The account, which exists from now on.
            role: ``write``, ``read`` or ``fineGrained``.
            organisations: Names that the account belongs to.
            scopes: What a fine-grained token may write to: owners and ``owner/name``.
            read_only: Names of organisations in which the account may only read.
        """
        token = "hf_" + secrets.token_hex(12)
        self.know(
            token,
            user,
            role=role,
            organisations=organisations,
            scopes=scopes,
            read_only=read_only,
        )
        return token

    def know(
        self,
        token: str,
        user: str,
        *,
        role: str = "write",
        organisations: tuple[str, ...] = (),
        scopes: tuple[str, ...] = (),
        read_only: tuple[str, ...] = (),
    ) -> None:
        """Accept a given token for an account, as :meth:`token` does with one of its own."""
        self._state.tokens[token] = Token(user, role, organisations, scopes, read_only)

    def __enter__(self) -> LoopbackHub:
        state = self._state
        state.closing.clear()

        class BoundHandler(Handler):
            hub = state

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), BoundHandler)
        self._server.daemon_threads = True
        state.url = f"http://127.0.0.1:{self._server.server_port}"
        # The default of half a second between looks would be spent at the end of every test.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._state.closing.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
