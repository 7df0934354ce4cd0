"""Options of the formats: ``--merged-shard-size`` and so on."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_core.plugin import Size, UsageError, setting

STREAMING = "streaming"
STORED, ORIGINAL = "stored", "original"
ENGINES = (STREAMING, "peft", "unsloth")


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSettings:
    """How base and adapter are put together, for every format that is made from them."""

    expert_packing: str = setting(
        "auto",
        help="how the adapter of fused experts is packed, where its file does not say",
        choices=("auto", "peft", "unsloth"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged16Settings:
    """What the user can choose for the 16-bit model."""

    engine: str = setting(
        STREAMING,
        help="who merges; peft and unsloth load the whole model, to cross-check",
        choices=ENGINES,
    )
    shard_size: Size = setting(Size("5GB"), help="largest weight file, such as 5GB or 500MiB")
    dtype: str = setting(
        "auto",
        help="type of the weights; auto keeps the one of the base model",
        choices=("auto", "bfloat16", "float16", "float32"),
    )

    names: str = setting(
        STORED,
        help="tensor names; original are those that the architecture was released with, which "
        "servers load, where a trainer saved others",
        choices=(STORED, ORIGINAL),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged4Settings:
    """What the user can choose for the 4-bit model."""

    shard_size: Size = setting(Size("5GB"), help="largest weight file, such as 5GB or 500MiB")
    bnb_type: str = setting("nf4", help="4-bit type of bitsandbytes", choices=("nf4", "fp4"))
    bnb_double_quant: bool = setting(True, help="quantise the scales of the 4-bit blocks as well")
    bnb_block_size: int = setting(64, help="weights that share a scale in the 4-bit model")
    bnb_compute_dtype: str = setting(
        "auto",
        help="type that the 4-bit model computes in; auto is the one of the 16-bit weights",
        choices=("auto", "bfloat16", "float16", "float32"),
    )
    bnb_skip: tuple[str, ...] = setting(
        (), help="modules that stay in 16 bits in the 4-bit model, such as o_proj or layers.0"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ServingLossySettings:
    """What the user can choose for the adapter that is near the trained one."""

    serving_rank: int = setting(
        0, help="rank of all modules of lora-serving-lossy; 0 is the adapter's own highest"
    )
    serving_contexts: int = setting(
        4,
        help="most contexts of 512 tokens that lora-serving-lossy is measured on; 0 measures "
        "nothing",
    )


def shard_limit(size: Size, option: str = "--merged-shard-size") -> int:
    """Return the bytes of the largest weight file.

    Args:
        size: As the user gave it.
        option: Where.

    Raises:
        UsageError: Too small to be meant.
    """
    if size < 1024:
        raise UsageError(
            f"{size} is no size for a weight file",
            owner=f"option {option}",
            next=f"{option} 5GB",
        )
    return int(size)
