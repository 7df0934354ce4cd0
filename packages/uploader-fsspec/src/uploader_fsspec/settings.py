"""Settings of ``dir:`` where it names storage that fsspec reaches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from uploader_core.plugin import Size, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a user can choose."""

    POLICY: ClassVar = ("foreign", "allow_secret")

    foreign: str = setting(
        "refuse",
        help="files there that no release put there and that programs would load: refuse the "
        "release, remove them, or keep them beside it",
        choices=("refuse", "remove", "keep"),
    )
    allow_secret: tuple[str, ...] = setting(
        (), help="fingerprints of findings in text files that are no secrets"
    )
    verify: str = setting(
        "checksum",
        help="how arrival is proven: by the checksum that the store keeps, where it keeps one, or "
        "by reading everything back",
        choices=("checksum", "read"),
    )
    part_size: Size = setting(
        Size("32MiB"),
        help="bytes of one part of a large file on S3, at least 5MiB",
        changes_result=False,
    )
