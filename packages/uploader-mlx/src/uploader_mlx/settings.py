"""Options: ``--mlx-quants`` and so on."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_core.plugin import Size, setting
from uploader_mlx.kinds import GROUPS, KINDS

_SHARD = Size("5GiB")  # mlx-lm's own limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the user can choose for the model in 16 bits."""

    dtype: str = setting(
        "auto",
        help="type of what is not quantised; auto is mlx-lm's: torch_dtype of config.json where "
        "that is named, else that of the base",
        choices=("auto", "bfloat16", "float16", "float32"),
    )
    shard_size: Size = setting(_SHARD, help="largest weight file, such as 5GiB or 500MiB")


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantSettings(Settings):
    """What the user can choose for quantised models."""

    quants: tuple[str, ...] = setting(
        ("4bit",),
        help="how mlx-quantised is quantised, comma separated; all are made in one pass",
        choices=KINDS,
        changes_result=False,
    )
    group_size: int = setting(
        GROUPS[0],
        help="columns that share a scale in 2bit to 8bit and the mixtures; a smaller one for "
        "widths that 64 does not divide",
        choices=GROUPS,
    )
    overrides: tuple[str, ...] = setting(
        (),
        help="modules that are quantised in another way: REGEX=KIND for the beginning of their "
        "paths, comma separated (lm_head=8bit, .*down_proj=6bit, .*gate$=16bit)",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureSettings:
    """What the user can choose of ``--measure``."""

    measure_text: str = setting(
        "builtin",
        help="text to measure on, that training did not see: a file, or builtin",
        content=True,
    )
    measure_contexts: int = setting(8, help="most contexts of 512 tokens that are measured")


def variants(settings: QuantSettings) -> tuple[str, ...]:
    """Return the kinds that are asked for."""
    return tuple(dict.fromkeys(settings.quants))
