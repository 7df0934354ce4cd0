"""Options: a field is `--fp8-FIELD`, a variable, and a key of `[fp8]` in uploader.toml."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_core.plugin import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a user can choose."""

    keep: tuple[str, ...] = setting(
        ("lm_head",), help="modules that stay as they are, comma separated (whole names or ends)"
    )
    shard_size: int = setting(2_000_000_000, help="bytes of a file of weights, at most")
