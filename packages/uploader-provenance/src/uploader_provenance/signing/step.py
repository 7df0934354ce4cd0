"""The step that signs a place, and what a plan refuses of it.

Nothing is read again: names and digests of everything at the place are known by then.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from uploader_core.plugin import Artifact, Finding, PlanContext, StepContext, UsageError, from_home
from uploader_provenance.signing import certificates, keyless
from uploader_provenance.signing.settings import ENVIRONMENT, Settings
from uploader_provenance.signing.signer import read_certificates, read_key, signer_of
from uploader_provenance.signing.statement import SIGNATURE, build_statement

_BESIDE_A_RELEASE = (".uploader", "publications.json", "report.html")
"""What a release folder has for whoever made it, and never goes anywhere."""


def check(context: PlanContext) -> Iterator[Finding]:
    """Say what a signature would fail on, before anything is made.

    Raises:
        UsageError: Two ways to sign are asked for.
        RefusedError: The key or a certificate is not fit, or not there.
    """
    settings: Settings = context.settings
    if settings.keyless and (settings.key is not None or settings.certificates):
        raise UsageError(
            "--provenance-keyless signs with no key of yours, and one is given",
            owner="option --provenance-keyless",
            next="leave one of the two out",
        )
    yield from _examine_folder(context)
    if settings.keyless:
        yield from keyless.examine(os.environ, context.secrets)
        return
    key = read_key(settings, context.secrets)
    if settings.certificates:
        given = read_certificates(settings)
        chain = certificates.chain_of(key.public_key(), given)
        yield from certificates.examine(chain, datetime.now(timezone.utc))
    if settings.key is not None and settings.key != ENVIRONMENT:
        yield from _examine_file(from_home(settings.key), context)


def sign(context: StepContext) -> Artifact:
    """Sign everything that is at a place, and each artifact of a release folder by itself."""
    digests = {file.name: file.sha256 for file in context.files}
    name = context.release.name
    beside: tuple[str, ...] = ()
    with signer_of(context.settings, context.secrets) as signer:
        if context.target is None:
            beside = _BESIDE_A_RELEASE
            for folder in _artifact_folders(context):
                below = [n for n in digests if n.startswith(f"{folder}/")]
                own = {n.removeprefix(f"{folder}/"): digests[n] for n in below}
                text = signer(build_statement(f"{name}-{folder}", own))
                made = context.output.write(f"{folder}/{SIGNATURE}", text, role="document")
                digests[made.name] = made.sha256
        statement = build_statement(name, digests, beside)
        context.output.write(SIGNATURE, signer(statement), role="document")
    return context.artifact()


def _artifact_folders(context: StepContext) -> list[str]:
    """Return the names of the folders of artifacts below a release folder."""
    root = context.output.path
    paths = {artifact.path for artifact in context.inputs if artifact.path != root}
    return sorted(path.relative_to(root).as_posix() for path in paths)


def _examine_folder(context: PlanContext) -> Iterator[Finding]:
    """Say which folders of a release folder would be in no signature of it."""
    if context.target is not None or not context.output.is_dir():
        return
    ours = {artifact.path.name for artifact in context.inputs} | {*_BESIDE_A_RELEASE}
    others = [path.name for path in context.output.iterdir() if path.is_dir()]
    for name in sorted({*others} - ours):
        yield Finding(
            level="warning",
            what=f"{name}/ in {context.output} is not of this run: the signature of that folder as "
            "a whole is not about it, and who verifies it is told so",
            next="release all formats in one run, or into another folder with --output",
        )


def _examine_file(path: Path, context: PlanContext) -> Iterator[Finding]:
    """Look at where a key lies: it is nobody else's business, and no part of a release."""
    place = path.resolve()
    if place.is_relative_to(context.output.resolve()):
        yield Finding(
            level="error",
            what=f"the private key {path} lies in the release folder {context.output}",
            next="move it to a folder of its own",
        )
    if os.name != "nt" and stat.S_IMODE(place.stat().st_mode) & (stat.S_IROTH | stat.S_IRGRP):
        yield Finding(
            level="warning",
            what=f"the private key {path} can be read by other users of this machine",
            next=f"chmod 600 {path}",
        )
