"""asyncssh's SFTP server on this machine: a folder, and one user with a password or a key."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD = "lab", "right-password-1"


class _Login(asyncssh.SSHServer):
    def __init__(self, connections: list[Any]) -> None:
        self._connections = connections

    def connection_made(self, conn: Any) -> None:
        self._connections.append(conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


class _Folder(asyncssh.SFTPServer):
    """Like any other, and it counts what is read, and can break off."""

    def __init__(self, chan: Any, *, server: SftpServer) -> None:
        super().__init__(chan, chroot=str(server.root).encode())
        self._server = server
        self._channel = chan

    def read(self, file_obj: Any, offset: int, size: int) -> Any:
        server = self._server
        with server.guard:
            breaks = server.breaks > 0 and server.reads >= server.breaks_after
            server.reads += 1
            server.breaks -= breaks
        if breaks:
            self._channel.get_connection().abort()
            raise asyncssh.SFTPConnectionLost("the line broke")
        return super().read(file_obj, offset, size)


@dataclass(kw_only=True)
class SftpServer:
    """A server that runs.

    Attributes:
        root: The folder that clients take for the whole disk.
        port: On 127.0.0.1.
        known: Its line of ``known_hosts``.
        reads: How many pieces were asked for.
        breaks: How many connections are still to be lost.
        breaks_after: The number of the piece from which on they are.
    """

    root: Path
    port: int = 0
    known: str = ""
    reads: int = 0
    breaks: int = 0
    breaks_after: int = 0
    guard: Any = field(default_factory=threading.Lock)

    def address(self, path: str) -> str:
        """Return the address of a folder."""
        return f"sftp://127.0.0.1:{self.port}/{path}"


@contextlib.contextmanager
def sftp_server(root: Path, authorized_key: Path | None = None) -> Iterator[SftpServer]:
    """Serve a folder until the block ends."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = SftpServer(root=root)
    connections: list[Any] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> Any:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key],
            server_factory=lambda: _Login(connections),
            sftp_factory=lambda chan: _Folder(chan, server=server),
            authorized_client_keys=str(authorized_key) if authorized_key else None,
        )  # fmt: skip

    listener = asyncio.run_coroutine_threadsafe(begin(), loop).result(60)
    server.port = listener.get_port()
    public = key.export_public_key().decode().strip()
    server.known = f"[127.0.0.1]:{server.port} {public}\n"

    async def end() -> None:
        listener.close()
        await listener.wait_closed()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()

    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
