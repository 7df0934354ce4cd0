"""What is signed: an in-toto statement that lists every file of a folder with its digest.

This is version 1.0 of OpenSSF Model Signing, in its serialization by files: the predicate lists
name and sha256 of each file, and the digest of the subject is that of all their digests in order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from uploader_core.plugin import IntegrityError, parse_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SIGNATURE = "model.sig"
"""Name of the signature, in the folder that it is about."""

NOT_OF_A_MODEL = (".git", ".gitattributes", ".github", ".gitignore")
"""What the verifier of OpenSSF leaves out by itself; the Hub puts ``.gitattributes`` everywhere."""

DOWNLOADS = (".cache/huggingface",)
"""What ``hf download`` leaves in the folder that it downloads into."""

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """What a statement says.

    Attributes:
        name: Of the model, for people.
        digests: sha256 by name of the file.
        ignored: Names of files and folders that may lie beside them.
    """

    name: str
    digests: Mapping[str, str]
    ignored: tuple[str, ...]


def build_statement(name: str, digests: Mapping[str, str], ignored: Iterable[str] = ()) -> bytes:
    """Return a statement about the files of a folder; the same for the same files.

    Args:
        name: Of the model, for people.
        digests: sha256 by name of the file. Names that no verifier looks at are left out.
        ignored: Names of files and folders that may lie beside them, besides the usual ones.
    """
    beside = sorted({SIGNATURE, *NOT_OF_A_MODEL, *DOWNLOADS, *ignored})
    names = sorted(
        (n for n in digests if not is_below(n, beside)), key=lambda n: PurePosixPath(n).parts
    )
    root = hashlib.sha256(b"".join(bytes.fromhex(digests[n]) for n in names)).hexdigest()
    return json.dumps(
        {
            "_type": _STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": root}}],
            "predicateType": _PREDICATE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": beside,
                },
                "resources": [
                    {"name": n, "algorithm": "sha256", "digest": digests[n]} for n in names
                ],
            },
        },
        separators=(",", ":"),
    ).encode()


def read_statement(payload: bytes, where: str) -> Signed:
    """Return what a statement says.

    Args:
        payload: Whose signature was checked.
        where: It was found, for messages.

    Raises:
        IntegrityError: It is none about the files of a model, it lists them in a way that is not
            read here, or it contradicts itself.
    """
    try:
        data = parse_json(payload)
        predicate = data["predicate"]
        how = predicate["serialization"]
        known = (data["_type"], data["predicateType"], how["method"], how["hash_type"])
        if known != (_STATEMENT, _PREDICATE, "files", "sha256"):
            raise ValueError(f"it is of the form {', '.join(map(str, known))}")
        (subject,) = data["subject"]
        resources = [(_text(r["name"]), _text(r["digest"])) for r in predicate["resources"]]
        if any(r["algorithm"] != "sha256" for r in predicate["resources"]):
            raise ValueError("not every file has a sha256")
        root = hashlib.sha256(b"".join(bytes.fromhex(d) for _, d in resources)).hexdigest()
        if root != subject["digest"]["sha256"]:
            raise ValueError("the digest of all is not that of the files that it lists")
        digests = dict(resources)
        if len(digests) != len(resources):
            raise ValueError("it lists a file twice")
        return Signed(
            name=_text(subject["name"]),
            digests=digests,
            ignored=tuple(map(_text, how.get("ignore_paths", ()))),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{where} signs no list of files that can be read here: {error}",
            owner="whoever signed it",
            safe="nothing was changed",
            next="verify it with the tool that signed it, or have it signed again",
        ) from error


def is_beside(name: str, signed: Signed) -> bool:
    """Return whether a file may lie beside what was signed and be any."""
    return is_below(name, (SIGNATURE, *NOT_OF_A_MODEL, *signed.ignored))


def is_below(name: str, folders: Iterable[str]) -> bool:
    """Return whether a name is one of some, or of something in a folder of that name."""
    path = PurePosixPath(name)
    return any(path.is_relative_to(folder) for folder in folders)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
