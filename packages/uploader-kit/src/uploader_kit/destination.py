"""A place to upload to, and what the kit looks for there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from uploader_core.artifact import UploadFile
from uploader_kit.announcing import does_not_apply
from uploader_kit.conformance import expect
from uploader_kit.trial import Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A place to upload to, as the kit needs to know it.

    Attributes:
        target: What stands behind the scheme, ``bucket/folder``.
        listing: Returns what is there now: sha256 by name as in
            :class:`~uploader_core.artifact.UploadFile`. Files of the destination's own may be in
            it.
        environment: Variables that the plugin needs, its secrets among them.
        url: Address of the server on this machine; None when there is no server.
        url_variable: Variable that tells the plugin the address, so that the kit can put a bad line
            in between.
        target_at: Where the target itself names the server: returns the target for another
            address, ``http://127.0.0.1:1234``. It stands for ``url_variable``.
        damage: Changes a file at the destination, behind the plugin's back; None when the
            destination does not allow that.
        open_sessions: Returns how many uploads are begun at the server and neither finished nor
            given up; None where it has no such thing, or does not tell.
        own: Names, as shell patterns, of files that the server makes by itself.
    """

    target: str
    listing: Callable[[], Mapping[str, str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    url_variable: str | None = None
    target_at: Callable[[str], str] | None = None
    damage: Callable[[str], None] | None = None
    open_sessions: Callable[[], int] | None = None
    own: Sequence[str] = ()


def can_move(place: Destination) -> bool:
    """Return whether the plugin can be told another address of its server."""
    told = place.url_variable is not None or place.target_at is not None
    return place.url is not None and told


def moved(place: Destination, url: str) -> tuple[str, Mapping[str, str]]:
    """Return target and variables that lead a plugin to its server at another address.

    Args:
        place: Where it goes otherwise.
        url: ``http://127.0.0.1:1234/...``.

    Raises:
        pytest.skip.Exception: It cannot be told.
    """
    if not can_move(place):
        does_not_apply("there is no server whose address the plugin can be told")
    target = place.target if place.target_at is None else place.target_at(url)
    return target, {} if place.url_variable is None else {place.url_variable: url}


def expect_complete(there: Mapping[str, str], files: Sequence[UploadFile]) -> None:
    """Raise unless all files are there.

    Args:
        there: Digests by name.
        files: What was sent.

    Raises:
        ConformanceError: Names what is missing or another.
    """
    missing = sorted(f.name for f in files if f.name not in there)
    expect(not missing, f"not at the destination: {', '.join(missing)}; "
           f"there is: {', '.join(sorted(there))}")  # fmt: skip
    wrong = sorted(f.name for f in files if there[f.name] != f.sha256)
    expect(not wrong, f"other bytes at the destination: {', '.join(wrong)}")


def listing(place: Destination) -> Mapping[str, str]:
    """Return what is there; nothing where the destination was not made yet, or is being made."""
    try:
        return place.listing()
    except Exception:  # the author's own function, about a place that may not be there
        return {}


def half_there(place: Destination, trial: Trial) -> list[str]:
    """Return the names of files that are there with other bytes than they were sent with."""
    there = listing(place)
    return sorted(f.name for f in trial.files if there.get(f.name, f.sha256) != f.sha256)
