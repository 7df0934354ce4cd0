"""Destinations that break one rule each, and what the kit says of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kit_plugins import failed_checks, sender

pytestmark = pytest.mark.usefixtures("home")

SENDER = """
import os
from pathlib import Path
from uploader_core.plugin import (IntegrityError, RefusedError, UploadSpec, find_leftovers,
                                  hash_file, hookimpl)

@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="u", summary="u", scheme="{name}", run="acme_{name}:upload",
                     check="acme_{name}:check", secrets=("ACME_TOKEN",),
                     still_there="acme_{name}:still_there")

def manifest_of(target):
    path = Path(target) / "upload_manifest.json"
    return hash_file(path)[1] if path.exists() else None

def still_there(context):
    return manifest_of(context.target) == context.receipt.revision

def check(context):
    return ()

def upload(context):
    sent = 0
    target = Path(context.target)
    there = [p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()]
    old = target / "upload_manifest.json"
    left = find_leftovers(there, [f.name for f in context.files], context.loads, kinds=(),
                          manifest=old.read_bytes() if old.exists() else None, place="there")
    for file in context.files:
        place = target / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and hash_file(place)[1] == file.sha256:
            continue
        if hash_file(file.path)[1] != file.sha256:
            raise IntegrityError("it changed", owner=str(file.path), next="run it again")
        place.write_bytes(file.path.read_bytes())
        sent += file.size
    for name in left.earlier:
        (target / name).unlink()
    return context.receipt(url="x", files=len(context.files), bytes_sent=sent,
                           revision=manifest_of(target))
"""

# A change of the sound sender, and the checks that say so.
ARRIVES, TWICE = "everything arrives", "second upload sends nothing"
KILLED, DAMAGE = "killed upload is completed", "damage at the destination is noticed"
CHANGED = "file that changed is refused"
REPLACED, KEPT = "second release replaces the first", "replaced release is not kept"
SENDERS = {
    "sound": ("", "", set()),
    "forgets": (
        "in context.files:",
        "in context.files[1:]:",
        {ARRIVES, TWICE, KILLED, DAMAGE, CHANGED, REPLACED},
    ),
    "leaves": ("in left.earlier:", "in ():", {REPLACED}),
    "miscounts": ("files=len(context.files)", "files=1", {ARRIVES}),
    "nowhere": ('url="x"', 'url=""', {ARRIVES}),
    "believes": ("return manifest_of(context.target) ==", "return True or", {KEPT}),
    "doubts": ("return manifest_of(context.target) ==", "return False and", {KEPT}),
    "mumbles": ("return manifest_of(context.target) ==", "return 1 or", {KEPT}),
    "modest": ("sent += file.size", "sent = 0", {ARRIVES}),
    "boasts": ("bytes_sent=sent", "bytes_sent=sent or 1", {TWICE}),
    "renames": (
        "target / file.name",
        "target / 'x' / file.name",
        {ARRIVES, TWICE, KILLED, DAMAGE, REPLACED, KEPT},
    ),
    "mixes": (
        "place.write_bytes(file.path.read_bytes())",
        "place.write_bytes(file.path.read_bytes().replace(b'llama', b'gpt-2'))",
        {ARRIVES, TWICE, KILLED, DAMAGE, REPLACED},
    ),
    "trusts": ("if hash_file(file.path)[1] != file.sha256:", "if False:", {CHANGED}),
    "unnamed": ("raise IntegrityError(", "raise ValueError(", {CHANGED}),
    "tells": (
        "    sent = 0\n",
        "    sent = 0\n    context.log.info(context.secrets['ACME_TOKEN'])\n",
        {"secrets are not told"},
    ),
    "refuses": (
        "return ()",
        "raise RefusedError('no', owner='acme', next='go')",
        {"check answers"},
    ),
    "finds": (
        "return ()",
        "from uploader_core.plugin import Finding; return (Finding(level='error', what='no'),)",
        {"check answers"},
    ),
    "returns": (
        "return context.receipt(url=",
        "return dict(url=",
        {ARRIVES, TWICE, KILLED, DAMAGE, REPLACED, KEPT},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SENDERS)
def test_destination(install: Callable[..., None], name: str) -> None:
    old, new, wanted = SENDERS[name]
    assert old in SENDER
    case = sender(install, name, SENDER.format(name=name).replace(old, new))
    assert set(failed_checks(case)) == wanted
