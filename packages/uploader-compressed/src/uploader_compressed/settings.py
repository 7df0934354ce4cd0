"""Options: ``--compressed-kinds`` and so on."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_compressed.schemes import SCHEMES
from uploader_core.plugin import Size, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the user can choose."""

    kinds: tuple[str, ...] = setting(
        ("fp8-dynamic",),
        help="schemes, comma separated; all are made in one pass",
        choices=tuple(SCHEMES),
        changes_result=False,
    )
    ignore: tuple[str, ...] = setting(
        (),
        help="more modules that stay in 16 bits: regular expressions for the beginning of their"
        " names, comma separated (.*down_proj)",
    )
    shard_size: Size = setting(
        Size("5GB"), help="weights of the 16-bit model in one file, such as 5GB or 500MiB"
    )


def variants(settings: Settings) -> tuple[str, ...]:
    """Return the schemes that are asked for, each a kind of its own."""
    return tuple(dict.fromkeys(settings.kinds))
