"""Hostile manifests: releases of a stranger, to be verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hostile_json import DEEP, MANY_DIGITS, grow
from hostile_place import Damage, Hostile, Place, cases


def _manifest(content: str | bytes | Callable[[Place], str], *more: str) -> Damage:
    """A release of a stranger, to be verified."""

    def damage(place: Place) -> list[object]:
        folder = place.root / "theirs"
        folder.mkdir()
        (folder / "README.md").write_text("x")
        text = content(place) if callable(content) else content
        (folder / "upload_manifest.json").write_bytes(
            text if isinstance(text, bytes) else text.encode()
        )
        return ["verify", folder, *more]

    return damage


def _files(*files: Any, **more: Any) -> str:
    return json.dumps({"schema": "uploader.manifest/1", "files": [*files], **more})


def _named(path: Any, **more: Any) -> str:
    entry = {"path": path, "size": 1, "sha256": "0" * 64, "role": "config", **more}
    return _files(entry)


MANIFESTS: dict[str, Damage] = {
    "nested 100,000 deep": _manifest(DEEP),
    "a list": _manifest("[]"),
    "not UTF-8": _manifest(b"\xff\xfe\xfd"),
    "a schema of a stranger": _manifest('{"schema": {"a": 1}, "files": []}'),
    "a name that leads outside": _manifest(_named("../outside/secret.txt")),
    "an absolute name": _manifest(_named("/etc/passwd")),
    "a name of a device": _manifest(_named("/dev/zero")),
    "a name with a zero byte": _manifest(_named("a\0b")),
    "a name that is a list": _manifest(_named(["x"])),
    "a name of Windows": _manifest(_named("C:\\Windows\\x")),
    "a name of a megabyte": _manifest(_named("x" * (1 << 20))),
    "a size of 4,000 digits": _manifest(
        lambda place: _named("README.md").replace('"size": 1', f'"size": {MANY_DIGITS}')
    ),
    "a size below zero": _manifest(_named("README.md", size=-1)),
    "a digest that is none": _manifest(_named("README.md", sha256="../../x")),
    "patterns that take for ever": _manifest(
        _files(loads=["*a" * 40 + "b", "[" * 1000, "?" * 10_000], kept=["README.md"])
    ),
    "patterns that are numbers": _manifest(_files(loads=[1, {"a": 1}])),
    "a file twice": _manifest(_files(*[json.loads(_named("README.md"))["files"][0]] * 2)),
    "files that are a number": _manifest('{"schema": "uploader.manifest/1", "files": 7}'),
    "500 MB that take no room": lambda place: [
        *(_manifest("{}")(place) or ()),
        *filter(None, [grow(place.root / "theirs" / "upload_manifest.json", 500 << 20)]),
    ],
}

HOSTILE_MANIFESTS: list[Hostile] = cases(
    "manifest", MANIFESTS, harmless={"patterns that take for ever"}
)
