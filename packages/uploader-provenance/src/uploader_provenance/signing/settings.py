"""By what a release is signed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import RefusedError, setting

ENVIRONMENT = "env"
"""Instead of a file: the key is in a variable."""

PRIVATE_KEY, PASSWORD = "UPLOADER_SIGNING_PRIVATE_KEY", "UPLOADER_SIGNING_PASSWORD"

IDENTITY = (
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "SIGSTORE_ID_TOKEN",
    "BUILDKITE_AGENT_ACCESS_TOKEN",
)
"""By what jobs of GitHub, GitLab and Buildkite prove who they are. No step but one that signs is
shown it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Options of the signature; without one of them nothing is signed."""

    # Its content counts, so that another key in the same file signs again.
    key: str | None = setting(
        None,
        content=True,
        help="sign with the private key in this PEM file; env: in UPLOADER_SIGNING_PRIVATE_KEY",
    )
    certificates: tuple[Path, ...] = setting(
        (), content=True, help="PEM files: the key's certificate, and those of who vouches for it"
    )
    keyless: bool = setting(
        False, help="sign with the identity of this CI job, in Sigstore's public log"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ChecksumSettings:
    """Options of ``SHA256SUMS``."""

    checksums: bool = setting(True, help="write SHA256SUMS, for sha256sum --check")


def has_key(settings: Settings) -> bool:
    """Return whether a release is signed with a key.

    Raises:
        RefusedError: It was given in place of a file. This is asked before anything shows settings,
            and does not repeat it.
    """
    if "-----BEGIN" in (settings.key or ""):
        raise RefusedError(
            "--provenance-key was given the key itself, and everybody on this machine sees options",
            owner="option --provenance-key",
            safe="nothing was signed",
            next=f"make another key; --provenance-key FILE, or {ENVIRONMENT} and the key in "
            f"{PRIVATE_KEY}",
        )
    return settings.key is not None


def is_keyless(settings: Settings) -> bool:
    """Return whether a release is signed with an identity."""
    return settings.keyless


def has_checksums(settings: ChecksumSettings) -> bool:
    """Return whether a release has a list of checksums."""
    return settings.checksums
