"""Options: ``--compressed-kinds`` and so on."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_compressed.schemes import GROUPS, SCHEMES
from uploader_core.plugin import Size, setting

CALIBRATION_OPTION = "--compressed-calibration"


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
    group_size: int = setting(
        GROUPS[0],
        help="columns that share a scale in w4a16 and w8a16; a smaller one for widths that 128 does"
        " not divide",
        choices=GROUPS,
    )
    calibration: str = setting(
        "builtin",
        help="text to calibrate w4a16-gptq and w8a8-gptq on: a file (.jsonl: text, messages, or"
        " prompt and completion on each line), or builtin",
        content=True,
    )
    calibration_windows: int = setting(128, help="most pieces of 512 tokens to calibrate on")
    shard_size: Size = setting(
        Size("5GB"), help="weights of the 16-bit model in one file, such as 5GB or 500MiB"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureSettings:
    """What the user can choose of ``--measure``."""

    measure_text: str = setting(
        "builtin",
        help="text to measure on, that neither training nor calibration saw: a file, or builtin",
        content=True,
    )
    measure_contexts: int = setting(8, help="most contexts of 512 tokens that are measured")


def variants(settings: Settings) -> tuple[str, ...]:
    """Return the schemes that are asked for, each a kind of its own."""
    return tuple(dict.fromkeys(settings.kinds))
