"""What a registry asks for with a 401: the ``WWW-Authenticate`` header (RFC 7235)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PARAMETER = re.compile(rf'\s*,?\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME = re.compile(rf"\s*,?\s*({_TOKEN})(?=\s|$|,)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenge:
    """One way to log in.

    Attributes:
        scheme: ``basic`` or ``bearer``, lower-case; or another.
        parameters: ``realm``, ``service``, ``scope`` and the like.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse_challenges(header: str) -> list[Challenge]:
    """Read a header with one challenge or several; what cannot be read ends the list."""
    found: list[Challenge] = []
    at = 0
    while at < len(header):
        scheme = _SCHEME.match(header, at)
        if scheme is None:
            break
        at = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, at):
            quoted, bare = parameter[2], parameter[3]
            value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters[parameter[1].lower()] = value
            at = parameter.end()
        found.append(Challenge(scheme=scheme[1].lower(), parameters=parameters))
    return found
