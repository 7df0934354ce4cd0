"""Where Ollama listens: ``OLLAMA_HOST`` as Ollama reads it (``envconfig/config.go``, ``Host``)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from uploader_core.plugin import RefusedError

VARIABLE = "OLLAMA_HOST"
_PORT = 11434
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A server.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name or number, without brackets.
        port: Its port.
        path: What comes before ``/api``, as a proxy may want it; "" for nothing.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" + (f"/{self.path}" if self.path else "")

    @property
    def is_here(self) -> bool:
        """Whether it is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_address(environment: Mapping[str, str]) -> Address:
    """Return the address that ``OLLAMA_HOST`` names, or Ollama's own."""
    text = environment.get(VARIABLE, "").strip().strip("\"'").strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("https", "ollama.com:443") if text == "ollama.com" else ("http", text)
        port = _PORT
    else:
        port = _PORTS.get(scheme, _PORT)
    place, _, path = rest.partition("/")
    host, given = _split(place)
    if given.isdigit() and int(given) <= 65535:
        port = int(given)
    return Address(scheme=scheme, host=_connectable(host or "127.0.0.1"), port=port, path=path)


def refuse_remote(address: Address, *, allowed: bool) -> None:
    """Refuse a server on another machine that nobody asked for.

    Raises:
        RefusedError: It is one.
    """
    if not address.is_here and not allowed:
        raise RefusedError(
            f"{VARIABLE} names another machine, {address.host}, and the model would be sent there"
            + (" unencrypted" if address.scheme == "http" else ""),
            owner=VARIABLE,
            safe="nothing was sent",
            next=f"add --ollama-remote if you mean it, or unset {VARIABLE}",
        )


def _split(place: str) -> tuple[str, str]:
    """As Go's ``net.SplitHostPort`` with what ``Host`` makes of its errors."""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        return host, port.removeprefix(":")
    if place.count(":") == 1:
        host, _, port = place.partition(":")
        return host, port
    return place, ""


def _connectable(host: str) -> str:
    """Replace an address that only a server can have (``ConnectableHost``)."""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return host
    if number.is_unspecified:
        return "127.0.0.1" if number.version == 4 else "::1"
    return str(number)
