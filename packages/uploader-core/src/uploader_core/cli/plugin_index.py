"""Indexes of plugins: JSON files that anyone can host, and the first-party one, which lies here.

An index says what there is; it is data of somebody else. All that ever becomes part of a command is
a distribution's name with a range of versions, and both are parsed before.
"""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from uploader_core import __version__
from uploader_core.errors import TemporaryError, UploaderError, UsageError
from uploader_core.home import from_home
from uploader_core.untrusted_json import parse_json, read_as

SCHEMA = "uploader.plugin-index/1"
FIRST_PARTY = "first-party"
"""How the index of this package is called where an address would stand."""

MOST_BYTES = 1 << 20
SECONDS = 20.0
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_ADDRESS = re.compile(r"https?://[^\s\"'<>\\]+", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What an index says of a plugin.

    Attributes:
        name: Its id.
        distribution: Name and range of versions, ``uploader-gguf>=0.1,<1``.
        summary: One line.
        kinds: That it makes.
        schemes: Of destinations that it serves.
        consumes: Kinds that it makes something of.
        homepage: Address of a page for people.
        core: Versions of uploader-core that it works with, ``>=0.1,<1``; "" where that is unknown.
        tier: That its report gives it, None where none is known.
        report: Address of that report.
        index: Where this is said; not part of the file.
    """

    name: str
    distribution: str
    summary: str
    kinds: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    homepage: str = ""
    core: str = ""
    tier: str | None = None
    report: str | None = None
    index: str = FIRST_PARTY

    @property
    def requirement(self) -> Requirement:
        """Distribution and versions, parsed."""
        return Requirement(self.distribution)

    def runs_with(self, core: str) -> bool:
        """Return whether it works with a version of uploader-core, as far as the index says."""
        return SpecifierSet(self.core).contains(core, prereleases=True)

    def mentions(self, word: str) -> bool:
        """Return whether a word is in anything that is said of it."""
        said = (self.name, self.distribution, self.summary, *self.kinds, *self.schemes)
        return any(word.casefold() in text.casefold() for text in (*said, *self.consumes))


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """The file; members that this version does not know are left out."""

    schema: str
    plugins: tuple[Listed, ...]


def read_index(place: str) -> tuple[Listed, ...]:
    """Return what an index lists.

    Args:
        place: ``http(s)`` address or path of a file; :data:`FIRST_PARTY` for the one of this
            package.

    Raises:
        UsageError: There is no index, or what is there is none.
        TemporaryError: It cannot be fetched now.
    """
    try:
        found = read_as(_File, parse_json(_bytes_of(place)))
        if found.schema != SCHEMA:
            raise ValueError(f"its schema is {found.schema!r}, and this version reads {SCHEMA}")
        for plugin in found.plugins:
            _check(plugin)
    except UploaderError:
        raise
    except ValueError as error:
        raise UsageError(
            f"this is no index of plugins: {error}",
            owner=place,
            safe="nothing was installed",
            next="ask whoever keeps it, or leave it out",
        ) from error
    return tuple(replace(plugin, index=place) for plugin in found.plugins)


def read_indexes(places: Iterable[str]) -> tuple[Listed, ...]:
    """Return what several indexes list, each line once."""
    found: dict[Listed, Listed] = {}
    for place in dict.fromkeys(places):
        for plugin in read_index(place):
            found.setdefault(replace(plugin, index=""), plugin)
    return tuple(found.values())


def _bytes_of(place: str) -> bytes:
    if place == FIRST_PARTY:
        return (resources.files("uploader_core.cli") / "plugin_index.json").read_bytes()
    if "://" in place:
        return download(place)
    try:
        with from_home(place).open("rb") as file:
            return _limited(file.read(MOST_BYTES + 1))
    except OSError as error:
        raise UsageError(f"the index {place} cannot be read: {error.strerror}") from error


def download(address: str, *, seconds: float = SECONDS) -> bytes:
    """Fetch a small file.

    Args:
        address: ``http`` or ``https``.
        seconds: For all of it.

    Raises:
        UsageError: Another scheme, or there is no such page.
        TemporaryError: It does not answer in time, or not at all.
        ValueError: It is too large.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"{address!r} is no http(s) address", next="--index https://…/index.json")
    opener = urllib.request.OpenerDirector()
    # None of files and ftp, to which a redirection could lead.
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler, urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    request = urllib.request.Request(  # noqa: S310 - it is http
        address, headers={"User-Agent": f"uploader-core/{__version__}"}
    )
    until = time.monotonic() + seconds
    found = b""
    try:
        with opener.open(request, timeout=seconds) as answer:
            if address.startswith("https:") and not answer.geturl().startswith("https:"):
                raise UsageError(f"{address} leads to {answer.geturl()}, which is not encrypted")
            while block := answer.read1(1 << 16):
                found = _limited(found + block)
                if time.monotonic() > until:
                    raise TimeoutError(f"no end after {seconds:g} s")
    except urllib.error.HTTPError as error:
        cls = TemporaryError if error.code >= 500 else UsageError
        raise cls(f"{address} answers {error.code} {error.reason}") from error
    except OSError as error:
        raise TemporaryError(
            f"{address} cannot be fetched: {getattr(error, 'reason', error)}",
            safe="nothing was installed",
            next="run the same command again",
        ) from error
    return found


def _limited(data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    return data


def _check(plugin: Listed) -> None:
    """Refuse what cannot be shown or installed safely.

    Raises:
        ValueError: Says what, and of which plugin.
    """
    if not _NAME.fullmatch(plugin.name):
        raise ValueError(f"{plugin.name!r} is no plugin id")
    texts = (plugin.summary, plugin.tier or "", *plugin.kinds, *plugin.schemes, *plugin.consumes)
    if not all(text.isprintable() and len(text) <= 200 for text in texts):
        raise ValueError(f"{plugin.name}: texts are one printable line of at most 200 characters")
    for address in (plugin.homepage, plugin.report or ""):
        if address and not _ADDRESS.fullmatch(address):
            raise ValueError(f"{plugin.name}: {address!r} is no http(s) address")
    try:
        requirement = plugin.requirement
        SpecifierSet(plugin.core)
    except (InvalidRequirement, InvalidSpecifier) as error:
        raise ValueError(f"{plugin.name}: {error}") from error
    if requirement.url or requirement.marker or requirement.extras:
        raise ValueError(
            f"{plugin.name}: {plugin.distribution!r} is more than a name and a range of versions"
        )
