"""What must not be told: names of this machine in what is published, secrets in what is shown."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from uploader_core.masking import INSTEAD, Mask
from uploader_core.secret_patterns import secret_patterns

_COMMON = {"localhost", "localhost.localdomain", "runner", "ubuntu", "debian", "python"}
_SHORTEST = 6
"""Bytes of a name that is looked for; shorter ones are found anywhere."""


def names_of_this_machine(folder: Path) -> dict[str, str]:
    """Return what a release must not hold: what it is, by the text itself.

    Args:
        folder: Where the trials work; all their paths begin with it.
    """
    found = {
        str(folder): "a path of this machine (input, output or work folder)",
        str(folder.resolve()): "a path of this machine (input, output or work folder)",
        str(Path.home()) + os.sep: "the home folder",
        str(Path.cwd()) + os.sep: "the working directory",
        socket.gethostname(): "the name of this host",
    }
    return {
        text: what
        for text, what in found.items()
        if len(text) >= _SHORTEST and text.lower() not in _COMMON
    }


def paths_in(folder: Path, names: Iterable[str]) -> set[str]:
    """Return the texts of JSON files that begin with some names: an adapter names its base so."""

    def texts(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list)):
            for part in value.values() if isinstance(value, dict) else value:
                yield from texts(part)

    found = set()
    for path in folder.rglob("*.json"):
        with contextlib.suppress(ValueError):
            read = texts(json.loads(path.read_bytes()))
            found |= {text for text in read if text.startswith(tuple(names))}
    return found


def find_names(
    contents: Mapping[str, bytes], names: Mapping[str, str], held: Iterable[str] = ()
) -> list[str]:
    """Say where some names are in the contents of files.

    Args:
        contents: Bytes by name of the file.
        names: As :func:`names_of_this_machine` returns them.
        held: Texts of the inputs that may be passed on as they are, between quotes.
    """
    told = []
    passed_on = [form for text in held for form in (json.dumps(text), f'"{text}"')]
    for file, whole in contents.items():
        data = whole
        for form in passed_on:
            data = data.replace(form.encode("utf-8"), b"")
        for text, what in names.items():
            for form in {text, json.dumps(text)[1:-1]}:
                at = data.find(form.encode("utf-8", "surrogateescape"))
                if at >= 0:
                    told.append(f"{file} has {what}, {text}, at byte {at:,}")
                    break
    return told


def find_keys(contents: Mapping[str, bytes]) -> list[str]:
    """Say which files hold what looks like a vendor's key; core refuses a name like that.

    Args:
        contents: Bytes by name of the file.
    """
    found = []
    for file, data in contents.items():
        text = data.decode("utf-8", "replace")
        for pattern in secret_patterns():
            at = pattern.pattern.search(text)
            if at is not None:
                found.append(f"{file} has {pattern.what} at character {at.start():,}")
    return found


def find_secret(told: Mapping[str, str], secrets: Mapping[str, str]) -> list[str]:
    """Say where some secrets are told: as they are, quoted, in JSON or in base64.

    Core takes what it handed out from what a worker says; its mark tells that it had to.

    Args:
        told: Texts by where they are.
        secrets: Values by the name of their variable.
    """
    found = []
    for where, text in told.items():
        names = [name for name, secret in secrets.items() if Mask([secret])(text) != text]
        found += [f"{name} is in {where}" for name in names]
        if not names and secrets and INSTEAD in text:
            found.append(f"{' or '.join(secrets)} was in {where}, where uploader took it out")
    return found
