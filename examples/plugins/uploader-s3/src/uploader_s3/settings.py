"""Options: a field is `--s3-FIELD`, a variable, and a key of `[s3]` in uploader.toml."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_core.plugin import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a user can choose."""

    region: str = setting("us-east-1", help="region of the bucket")
    part_size: int = setting(64 << 20, help="bytes of one part of a large file, at least 5 MiB")
    verify: str = setting(
        "checksum",
        help="how arrival is proven: by the checksum that the store keeps, or by reading it back",
        choices=("checksum", "read"),
    )
    foreign: str = setting(
        "refuse",
        help="files there that no release put there and that programs would load: refuse the "
        "release, remove them, or keep them beside it",
        choices=("refuse", "remove", "keep"),
    )
    allow_secret: tuple[str, ...] = setting(
        (), help="fingerprints of findings in text files that are no secrets"
    )
