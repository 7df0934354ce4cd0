"""Where models from stores are kept on this machine: a folder for each state of an address.

A file gets its name there when all of it arrived, and a state is known by what the store says of
each file, so what is there is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from uploader_core.plugin import RefusedError, from_home, parse_json
from uploader_fsspec.store.address import Address
from uploader_fsspec.store.store import Entry

VARIABLE = "UPLOADER_FSSPEC_CACHE"
"""Variable with another folder."""

_LISTING = "listing.json"


class Cache:
    """The cache of this user, as far as it is about one address."""

    def __init__(self, address: Address) -> None:
        chosen = os.environ.get(VARIABLE)
        root = from_home(chosen) if chosen else platformdirs.user_cache_path(
            "uploader-fsspec", appauthor=False
        )  # fmt: skip
        self._name = address.name
        self.root = root / _hash(str(address))

    def folder(self, entries: Mapping[str, Entry]) -> Path:
        """Return the folder of a state; its last part is what a release is called after."""
        return self.root / revision_of(entries)[:32] / self._name

    def remember(self, entries: Mapping[str, Entry]) -> None:
        """Write down a state, for when nobody answers and for states that share files with it."""
        content = json.dumps({name: [e.size, e.identity] for name, e in sorted(entries.items())})
        try:
            for folder in (self.root, self.folder(entries).parent):
                folder.mkdir(parents=True, exist_ok=True)
                new = folder / f"{_LISTING}.{os.getpid()}"
                new.write_text(content, "utf-8")
                new.replace(folder / _LISTING)
        except OSError as error:
            raise RefusedError(
                f"models from stores cannot be kept in {self.root.parent}: {error.strerror}",
                owner=VARIABLE if os.environ.get(VARIABLE) else "the user's cache folder",
                safe="nothing of the model was fetched",
                next=f"{VARIABLE}=FOLDER names a folder that can be written",
            ) from None

    def recall(self) -> Mapping[str, Entry] | None:
        """Return the state that was seen last, None when the address was never asked."""
        return _read(self.root / _LISTING)

    def take_over(self, name: str, entry: Entry, target: Path) -> None:
        """Link a file that another state of the address has with the same content."""
        for listing in self.root.glob(f"*/{_LISTING}"):
            there = listing.parent / self._name / name
            known = _read(listing) or {}
            if there.is_file() and there != target and known.get(name) == entry:
                target.parent.mkdir(parents=True, exist_ok=True)
                # A disk without links, or another process that was first: it is fetched, or there.
                with contextlib.suppress(OSError):
                    os.link(there, target)
                return


def revision_of(entries: Mapping[str, Entry]) -> str:
    """Return what stands for the state of a folder: it changes with any of its files."""
    return _hash(json.dumps({name: [e.size, e.identity] for name, e in sorted(entries.items())}))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _read(listing: Path) -> dict[str, Entry] | None:
    try:
        data = parse_json(listing.read_bytes())
        return {
            str(name): Entry(size=int(size), identity=str(identity))
            for name, (size, identity) in data.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return None
