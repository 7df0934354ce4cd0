"""What the codes of mlx stand for. Heavy: imports torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch  # noqa: TID253 - this module computes

from uploader_merged.base.mlx_packed import MlxTensor

_FP4 = torch.tensor(
    [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=torch.float64
)
_BIAS = 127


def dequantised(
    tensor: MlxTensor, words: torch.Tensor, parts: Sequence[torch.Tensor], dtype: torch.dtype
) -> torch.Tensor:
    """Return rows as ``mx.dequantize`` makes them on a processor, bit for bit.

    Of whole numbers it rounds the product and the sum, each to the type of the scales.

    Args:
        tensor: Says how it is quantised.
        words: Rows of its codes.
        parts: The same rows of its scales, and of biases.
        dtype: Of the result.
    """
    (group,) = tensor.block
    codes = unpack(words, tensor.bits)
    if tensor.mode == "affine":
        scales, biases = (part.repeat_interleave(group, -1) for part in parts)
        product = codes.to(dtype) * scales
        return product + biases
    wide = scale_values(tensor.mode, parts[0]).repeat_interleave(group, -1)
    return (float_values(codes, tensor.bits) * wide).to(dtype)


def unpack(words: torch.Tensor, bits: int) -> torch.Tensor:
    """Return the codes of rows of 32-bit words, lowest bits first, as int64."""
    wide = words.contiguous().view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    if 32 % bits == 0:
        codes: torch.Tensor = (wide[..., None] >> torch.arange(0, 32, bits)) & (2**bits - 1)
        return codes.flatten(-2)
    # A code may lie across two words: take the bits one by one.
    flat = ((wide[..., None] >> torch.arange(32)) & 1).flatten(-2)
    grouped = flat.reshape(*flat.shape[:-1], -1, bits)
    whole: torch.Tensor = (grouped << torch.arange(bits)).sum(-1)
    return whole


def float_values(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Return what codes of FP4 and FP8 stand for, in float64."""
    if bits == 4:
        return _FP4[codes]
    return codes.to(torch.uint8).view(torch.float8_e4m3fn).double()


def scale_values(mode: str, stored: torch.Tensor) -> torch.Tensor:
    """Return scales as numbers, in float64."""
    if mode == "affine":
        return stored.double()
    if mode == "nvfp4":
        return stored.view(torch.float8_e4m3fn).double()
    powers: torch.Tensor = torch.exp2(stored.double() - _BIAS)
    return powers
