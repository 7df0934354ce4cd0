"""SFTP as ``ssh`` connects: to machines whose keys are known, by the names of its configuration.

fsspec's own implementation believes whoever answers, and sends a password to them. It waits for
each 32 KiB of a file that it reads, and tells nobody how far it is in one that it sends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import paramiko
from fsspec.callbacks import DEFAULT_CALLBACK, Callback
from fsspec.implementations.sftp import SFTPFileSystem

from uploader_core.plugin import AuthError, RefusedError

_CONFIGURATION = Path("~/.ssh/config")
_KNOWN = Path("/etc/ssh/ssh_known_hosts")
_PATIENCE = 60.0
"""Seconds in which a machine has to answer something."""


class SshFileSystem(SFTPFileSystem):  # type: ignore[misc]
    """fsspec's SFTP, over a connection as ``ssh`` makes it.

    The arguments are fsspec's: ``host``, and those of :meth:`paramiko.SSHClient.connect`.
    """

    def _connect(self) -> None:
        given = {**_configured(self.host), **self.ssh_kwargs}
        given["port"] = int(given.get("port") or paramiko.config.SSH_PORT)  # a variable is a text
        self.client = paramiko.SSHClient()
        self.client.load_system_host_keys()
        if _KNOWN.is_file():
            self.client.load_system_host_keys(str(_KNOWN))
        self.client.set_missing_host_key_policy(_NobodyUnknown())
        self.client.connect(**{"hostname": self.host, "timeout": _PATIENCE, **given})
        self.ftp = self.client.open_sftp()
        self.ftp.get_channel().settimeout(_PATIENCE)

    def close(self) -> None:
        """End the connection."""
        self.client.close()

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Read a range, asking for all of it at once."""
        with self.ftp.open(self._strip_protocol(path), "rb") as file:
            size = file.stat().st_size
            first, last, _step = slice(start, end).indices(size)
            return b"".join(file.readv([(first, last - first)])) if last > first else b""

    def put_file(
        self, lpath: str, rpath: str, callback: Callback = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        """Send a file, and tell of every piece."""
        told = 0

        def tell(sent: int, _size: int) -> None:
            nonlocal told
            callback.relative_update(sent - told)
            told = sent

        self.ftp.put(lpath, self._strip_protocol(rpath), callback=tell)


class _NobodyUnknown(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Refuses a machine that ``ssh`` does not know either."""

    def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
        del client
        raise AuthError(
            f"{hostname} is not among the machines whose keys are known (~/.ssh/known_hosts); "
            f"its key is {key.fingerprint}",
            owner=hostname,
            safe="no login was sent to it",
            next="ask whoever runs it whether that is its key, then connect with ssh once and "
            "accept it",
        )


def _configured(host: str) -> dict[str, Any]:
    """Return what ``~/.ssh/config`` says of a name, as arguments of paramiko's connect."""
    path = _CONFIGURATION.expanduser()
    if not path.is_file():
        return {}
    said = paramiko.SSHConfig.from_path(str(path)).lookup(host)
    for option in ("proxyjump", "proxycommand"):
        if said.get(option, "none") != "none":
            raise RefusedError(
                f"{host} is reached through {said[option]} ({path}), which sftp:// cannot",
                owner=host,
                safe="nothing was asked or written",
                next=f"ssh -N -L 2222:localhost:22 {host}, then sftp://localhost:2222/...",
            )
    names = {"hostname": "hostname", "port": "port", "user": "username"}
    found: dict[str, Any] = {names[name]: said[name] for name in names if name in said}
    if said.get("identityfile"):
        found["key_filename"] = said["identityfile"]
    return found
