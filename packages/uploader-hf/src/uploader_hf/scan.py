"""Secrets in text files that would go up stop the run: file and line are named, not the value.

The patterns are those by which the vendors themselves mark their keys; a bare random string is no
finding. What looks like one and is none is let through by its fingerprint.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from uploader_core.plugin import RefusedError, UploadFile

LARGEST = 8 << 20
"""Bytes; a larger text is a vocabulary."""

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("a Hugging Face token", r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}\b"),
    ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,})\b"),
    ("a GitLab token", r"\bglpat-[\w-]{20,}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("an AWS secret key", r"(?i)aws_?secret_?(?:access_?)?key\W{1,6}[A-Za-z0-9/+]{40}(?![\w/+])"),
    ("an API key", r"\bsk-(?:[a-z]+[a-z0-9]*-)*[A-Za-z0-9_]{20,}\b"),
    ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("a Google API key", r"\bAIza[\w-]{35}(?![\w-])"),
    ("a Stripe key", r"\b[rs]k_live_[A-Za-z0-9]{20,}\b"),
    ("an npm or PyPI token", r"\b(?:npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,})"),
    ("a Weights & Biases key", r"(?i)(?:wandb|weights.?(?:&|and).?biases).{0,60}?\b[0-9a-f]{40}\b"),
    ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("a signed web token", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    ("a password in an address", r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'<>{}]+:[^\s/:@\"'<>{}]{4,}@[\w.-]+"),
)  # fmt: skip
_COMPILED = tuple((what, re.compile(pattern)) for what, pattern in _PATTERNS)
_PLACEHOLDER_LETTERS = 6
"""A value with fewer different characters is ``xxxxxxxx``, written by somebody who took care."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """Something that looks like a secret.

    Attributes:
        file: Name at the destination.
        line: Counted from 1.
        what: Which kind of secret.
        masked: The value's first characters.
        fingerprint: Of the value, to let it through.
    """

    file: str
    line: int
    what: str
    masked: str
    fingerprint: str


def refuse_secrets(files: Iterable[UploadFile], *, allowed: Collection[str] = ()) -> None:
    """Stop when a text file that would go up holds a secret.

    Args:
        files: What would go up.
        allowed: Fingerprints of findings that are none.

    Raises:
        RefusedError: With file and line of each, values masked.
    """
    leaks = [leak for file in files for leak in find(file) if leak.fingerprint not in allowed]
    if not leaks:
        return
    found = "\n".join(
        f"  {leak.file}:{leak.line} {leak.what}, {leak.masked} (fingerprint {leak.fingerprint})"
        for leak in leaks[:20]
    )
    raise RefusedError(
        f"text files that would be published hold what looks like secrets:\n{found}",
        owner="whoever wrote them",
        safe="nothing was sent",
        next="remove them, and revoke them where they were shared already; one that is no secret "
        f"goes through with --hf-allow-secret {leaks[0].fingerprint}",
    )


def find(file: UploadFile) -> Iterator[Leak]:
    """Yield what looks like a secret in one file; a binary one has none that we could see."""
    if file.role == "weights" or file.size > LARGEST:
        return
    content = file.path.read_bytes()
    if b"\0" in content:
        return
    # Notebooks and JSON write line ends as \n: each of their lines is searched like any other.
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        for what, pattern in _COMPILED:
            for match in pattern.finditer(line):
                value = match[0]
                if len(set(value[4:])) < _PLACEHOLDER_LETTERS:
                    continue
                yield Leak(
                    file=file.name,
                    line=number,
                    what=what,
                    masked=value[:4] + "***",
                    fingerprint=hashlib.sha256(value.encode()).hexdigest()[:12],
                )
