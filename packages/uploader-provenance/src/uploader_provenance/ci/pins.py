"""The versions that are installed here, for a machine that shall have the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import importlib_metadata
from importlib_metadata import Distribution
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

_CORE, _OURS = "uploader-core", "uploader-provenance"
_WHEELS = "https://download.pytorch.org/whl/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pins:
    """What a machine needs for a release.

    Attributes:
        lines: Of a requirements file, sorted.
        from_folders: Distributions that are installed here from a folder: a package index may have
            something else under their version, or nothing.
    """

    lines: tuple[str, ...]
    from_folders: tuple[str, ...] = ()


def pins(names: Iterable[str], schemes: Iterable[str], *, keyless: bool) -> Pins:
    """Pin everything that a release runs with.

    Args:
        names: Formats and plugins that are asked for; none for those that are the default.
        schemes: Of the destinations.
        keyless: Whether it is signed with the identity of the job.
    """
    wanted = {_CORE, _OURS, *_distributions(names, schemes)}
    needed = _closure(wanted, {_OURS: {"keyless"} if keyless else set()})
    versions = {n: Version(d.version) for n, d in needed.items()}
    # PyPI has no wheels with a local version; torch's own index has.
    local = sorted({v.local for n, v in versions.items() if n == "torch" and v.local})
    return Pins(
        lines=(
            *(f"--extra-index-url {_WHEELS}{build}" for build in local),
            *(f"{name}=={version}" for name, version in sorted(versions.items())),
        ),
        from_folders=tuple(sorted(n for n, d in needed.items() if _is_from_folder(d))),
    )


def _distributions(names: Iterable[str], schemes: Iterable[str]) -> Iterator[str]:
    """Yield the distributions whose plugins take part."""
    names, schemes = {*names}, {*schemes}
    asked = {"artifacts": names, "plugins": names, "schemes": schemes}
    for group in (*asked, *(() if names else ("defaults",))):
        for entry in importlib_metadata.entry_points(group=f"uploader_core.{group}"):
            if entry.name in asked.get(group, {entry.name}) and entry.dist is not None:
                yield canonicalize_name(entry.dist.name)


def _closure(names: Iterable[str], extras: dict[str, set[str]]) -> dict[str, Distribution]:
    """Return distributions with all that they require and that is installed, by name."""
    found: dict[str, Distribution] = {}
    waiting = [(name, "") for name in names]
    waiting += [(name, extra) for name, more in extras.items() for extra in more]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        try:
            distribution = found[name] = Distribution.from_name(name)
        except importlib_metadata.PackageNotFoundError:
            continue  # an extra that is not installed here
        for text in distribution.requires or ():
            required = Requirement(text)
            if required.marker is None or required.marker.evaluate({"extra": extra}):
                other = canonicalize_name(required.name)
                more = {(other, ""), *((other, e) for e in required.extras)} - seen
                seen |= more
                waiting += sorted(more)
    return found


def _is_from_folder(distribution: Distribution) -> bool:
    text = distribution.read_text("direct_url.json") or ""
    return '"dir_info"' in text
