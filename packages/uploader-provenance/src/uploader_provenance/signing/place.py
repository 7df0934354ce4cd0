"""A folder or a destination, compared with the signature that it has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import IntegrityError, Problem, Verification, read_manifest
from uploader_provenance.signing.envelope import read_signature
from uploader_provenance.signing.folder import compare_folder
from uploader_provenance.signing.statement import SIGNATURE, Signed, is_beside
from uploader_provenance.signing.verify import Trust, check_signature

_MANIFEST = "upload_manifest.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What came of it.

    Attributes:
        where: What was looked at.
        by: Who signed it.
        files: How many files were signed.
        problems: What is not as it was signed; empty when all is well.
    """

    where: str
    by: str
    files: int
    problems: tuple[Problem, ...]

    def to_json(self) -> Mapping[str, Any]:
        """Return it for consumers of JSON."""
        return {
            "where": self.where,
            "signed_by": self.by,
            "files": self.files,
            "problems": [{"path": p.path, "what": p.what} for p in self.problems],
        }


def check_folder(folder: Path, trust: Trust) -> Found:
    """Check a folder and the ``model.sig`` in it.

    Args:
        folder: A release folder, one of its artifacts, or a copy.
        trust: Whose signature it has to be.

    Raises:
        IntegrityError: There is no signature, or not one of them.
    """
    path = folder / SIGNATURE
    if not path.is_file() or path.is_symlink():
        raise _unsigned(str(folder))
    checked = check_signature(read_signature(path), trust, str(path))
    return Found(
        where=str(folder),
        by=checked.by,
        files=len(checked.signed.digests),
        problems=compare_folder(folder, checked.signed),
    )


def check_destination(verification: Verification, trust: Trust, where: str) -> Found:
    """Check what a destination has, from what it said of itself.

    Its manifest lists every file with its digest and was compared with what is there; so it is
    enough that the list, and the manifest itself, are as they were signed.

    Args:
        verification: What the destination's plugin found.
        trust: Whose signature it has to be.
        where: As it was asked for.

    Raises:
        IntegrityError: There is no signature, or not one of them.
    """
    there = verification.documents
    if SIGNATURE not in there:
        raise _unsigned(verification.where or where)
    checked = check_signature(there[SIGNATURE], trust, f"{verification.where}: {SIGNATURE}")
    problems = {problem.path: problem for problem in verification.problems}
    for problem in _differences(checked.signed, verification):
        problems.setdefault(problem.path, problem)
    return Found(
        where=verification.where or where,
        by=checked.by,
        files=len(checked.signed.digests),
        problems=tuple(problems[path] for path in sorted(problems)),
    )


def _differences(signed: Signed, verification: Verification) -> Iterator[Problem]:
    there = verification.documents
    listed = read_manifest(there[_MANIFEST], _MANIFEST)
    found = {file.name: file.sha256 for file in listed}
    found |= {name: hashlib.sha256(there[name]).hexdigest() for name in there}
    found |= dict.fromkeys(verification.others, "")
    for name in sorted(name for name in found if not is_beside(name, signed)):
        if name not in signed.digests:
            yield Problem(path=name, what="was not signed")
        elif signed.digests[name] != found[name]:
            yield Problem(path=name, what="has other content than was signed")
    for name in sorted(signed.digests.keys() - found.keys()):
        yield Problem(path=name, what="is missing")


def _unsigned(where: str) -> IntegrityError:
    return IntegrityError(
        f"{where} has no {SIGNATURE}",
        owner=where,
        safe="nothing was changed",
        next="get it from where it was published with its signature; a release is signed with "
        "`uploader run --provenance-key FILE`",
    )
