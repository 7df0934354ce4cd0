"""Secrets in text files that would go up stop the run: file and line are named, not the value.

Those of a source that go into a release are looked at before anything is computed, for a GGUF holds
the template and nobody sees it there; everything that goes up is looked at again before it does.

What looks like a secret and is none is let through by its fingerprint. A destination that others
may read calls both, with an option of its own for the fingerprints.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from uploader_core.artifact import UploadFile
from uploader_core.card_head import read_card
from uploader_core.contract.specs import Finding
from uploader_core.destinations.secret_text import find_in_file
from uploader_core.errors import RefusedError
from uploader_core.manifest_file import CARD

_TRAVELS = re.compile(
    r"(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*|[^/]+\.jinja|merges\.txt|vocab\.(?:json|txt)"
    r"|(?:adapter_|generation_|tokenizer_|preprocessor_|processor_|video_preprocessor_)?config\.json"
    r"|tokenizer\.json|special_tokens_map\.json|added_tokens\.json|chat_template\.json"
)
"""What the formats take over from a source. The card takes the words of a person as well."""

_SHOWN = 20
"""Findings that are told, of all files or of one of a source; one is enough to stop a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """Something that looks like a secret.

    Attributes:
        file: Name at the destination.
        line: Counted from 1.
        what: Which type of secret.
        masked: The first characters of the secret, a quarter of it at most.
        fingerprint: Of the value, to let it through.
    """

    file: str
    line: int
    what: str
    masked: str
    fingerprint: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}"
        return f"{where} {self.what}, {self.masked} (fingerprint {self.fingerprint})"


def refuse_secrets(
    files: Iterable[UploadFile], option: str, *, allowed: Collection[str] = ()
) -> None:
    """Stop when a text file that would go up holds a secret.

    Args:
        files: What would go up.
        option: That lets a finding through, ``--hf-allow-secret``.
        allowed: Fingerprints of findings that are none.

    Raises:
        RefusedError: With file and line of each, values masked.
    """
    found_at = (leak for file in files for leak in find_secrets(file))
    leaks = [*islice((leak for leak in found_at if leak.fingerprint not in allowed), _SHOWN)]
    if not leaks:
        return
    found = "\n".join(f"  {leak}" for leak in leaks)
    raise RefusedError(
        f"text files that would be published hold what looks like secrets:\n{found}",
        owner="whoever wrote them",
        safe="nothing was sent",
        next="remove them, and revoke them where they were shared already; one that is no secret "
        f"goes through with {option} {leaks[0].fingerprint}",
    )


def secrets_in_sources(
    sources: Mapping[str, Path],
    option: str,
    *,
    allowed: Collection[str] = (),
    has_own_words: Callable[[str], bool] = bool,
) -> Iterator[Finding]:
    """Yield an error for what looks like a secret in what a release takes over from its sources.

    Args:
        sources: Folders by source kind.
        option: That lets a finding through, ``--hf-allow-secret``.
        allowed: Fingerprints of findings that are none.
        has_own_words: Whether a card with this text has words that a person wrote.
    """
    for kind, folder in sources.items():
        if not folder.is_dir():
            continue
        paths = sorted(path for path in folder.iterdir() if _TRAVELS.fullmatch(path.name))
        text = read_card(folder)
        if kind != "base" and text:
            paths += [folder / CARD] * has_own_words(text)
        for path in (*paths, *sorted(folder.glob("additional_chat_templates/*.jinja"))):
            if path.is_file():
                found = _find(path.relative_to(folder).as_posix(), path)
                for leak in islice((x for x in found if x.fingerprint not in allowed), _SHOWN):
                    yield Finding(
                        level="error",
                        what=f"what looks like a secret would be published: {leak}",
                        next="remove it, and revoke it where it was shared already; if it is "
                        f"none: {option} {leak.fingerprint}",
                    )


def find_secrets(file: UploadFile) -> Iterator[Leak]:
    """Yield what looks like a secret in one file; weights and large binaries are not looked at."""
    if file.role != "weights":
        yield from _find(file.name, file.path)


def _find(name: str, path: Path) -> Iterator[Leak]:
    for hit in find_in_file(path):
        yield Leak(
            file=name,
            line=hit.line,
            what=hit.what,
            masked=hit.secret[: min(4, len(hit.secret) // 4)] + "***",  # a password is short
            fingerprint=_fingerprint(hit.text),
        )


@functools.lru_cache(maxsize=256)
def _fingerprint(text: str) -> str:
    """Return what names a finding in logs that everybody may read.

    Slow on purpose: a password that a person chose could be guessed by a fast one.
    """
    return hashlib.scrypt(text.encode("latin-1"), salt=b"uploader", n=1 << 14, r=8, p=1).hex()[:12]
