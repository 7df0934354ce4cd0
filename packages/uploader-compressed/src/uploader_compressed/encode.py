"""Quantise rows of a matrix, with the bits of compressed-tensors and llm-compressor.

Heavy: imports torch. Every step is rounded to the type of the weights, as theirs is: a scale in
bfloat16 is the quotient rounded to bfloat16, and so is the weight divided by it. The compiled
kernels do the same in one pass over the memory. The tests compare every byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch  # noqa: TID253 - this module computes

import uploader_kernels
from uploader_compressed.schemes import BLOCK, Scheme

_FP8 = torch.float8_e4m3fn
_FP8_MAX = 448.0
_FP4_MAX = 6.0
_FP4_OFFSET = 2  # the exponent of the largest FP4
_BIAS = 127
_SCALE_IF_ZERO = {torch.float8_e4m3fn: 0.125, torch.uint8: 1.0}


class NotFiniteError(ValueError):
    """A weight is NaN or infinite, so it has no scale."""


def encode(
    scheme: Scheme,
    rows: torch.Tensor,
    global_scale: torch.Tensor | None = None,
    kernels: uploader_kernels.Library | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes and scales of rows, as they are stored.

    Args:
        scheme: How.
        rows: In 16 or 32 bits; of ``fp8-block`` whole blocks, but for the last of a matrix.
        global_scale: Of :func:`global_scale`, for schemes that have one.
        kernels: The compiled ones, for the schemes that they know.

    Raises:
        NotFiniteError: A weight is NaN or infinite.
    """
    if kernels is not None and scheme.form in _COMPILED and scheme.strategy != "block":
        return _in_one_pass(kernels, scheme, rows.contiguous())
    return _ENCODERS[scheme.form](scheme, rows, global_scale, kernels)


def largest(rows: torch.Tensor) -> torch.Tensor:
    """Return the largest magnitude, in the type of the rows.

    Raises:
        NotFiniteError: It is none.
    """
    low, high = torch.aminmax(rows)
    return _finite(torch.maximum(-low, high))


def scales_of(scheme: Scheme, rows: torch.Tensor) -> torch.Tensor:
    """Return the scales of whole numbers, in the type of the rows.

    Raises:
        NotFiniteError: A weight is NaN or infinite.
    """
    return _scale(_magnitudes(rows, scheme.group), (2**scheme.bits - 1) / 2)


def global_scale(magnitude: torch.Tensor) -> torch.Tensor:
    """Return NVFP4's scale of a whole tensor.

    Args:
        magnitude: The largest of the tensor and of those that share the scale.
    """
    smallest = torch.finfo(magnitude.dtype).tiny
    scale = _FP8_MAX * _FP4_MAX / torch.clamp(magnitude, min=smallest)
    return torch.nan_to_num(scale, nan=1.0, posinf=1.0, neginf=1.0).to(torch.float32).reshape(1)


def _in_one_pass(
    kernels: uploader_kernels.Library, scheme: Scheme, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (rows.shape[0], rows.shape[1])
    codes = torch.empty(rows.numel() * (4 if scheme.bits == 4 else 8) // 8, dtype=torch.uint8)
    scales = torch.empty(scheme.scales(shape), dtype=rows.dtype)
    finite = uploader_kernels.compress(
        kernels,
        (rows.data_ptr(), _SPELLED[rows.dtype]),
        shape,
        scheme.group or shape[1],
        codes.data_ptr(),
        scales.data_ptr(),
        floating=scheme.floating,
        bits=scheme.bits,
        offset=2 ** (scheme.bits - 1) if scheme.packed else 0,
    )
    if not finite:
        raise NotFiniteError
    return codes.view(_COMPILED[scheme.form]).view(shape[0], -1), scales


def _floats(scheme: Scheme, rows: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """FP8, a scale for a row or for a block."""
    if scheme.strategy != "block":
        scale = _scale(_magnitudes(rows, 0), _FP8_MAX)
        return _to_fp8(rows / scale), scale
    height, width = rows.shape
    padded = torch.nn.functional.pad(rows, (0, -width % BLOCK, 0, -height % BLOCK))
    blocks = padded.view(padded.shape[0] // BLOCK, BLOCK, -1, BLOCK)
    scale = _scale(_finite(blocks.abs().amax((1, 3))), _FP8_MAX)
    codes = _to_fp8(blocks / scale[:, None, :, None]).view(padded.shape)
    return codes[:height, :width].contiguous(), scale


def _to_fp8(scaled: torch.Tensor) -> torch.Tensor:
    # A zero point of zero is added there, which takes the sign off -0.
    return scaled.add_(0.0).clamp_(-_FP8_MAX, _FP8_MAX).to(_FP8)


def _integers(scheme: Scheme, rows: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole numbers, packed into 32 bits where several fit."""
    half = 2 ** (scheme.bits - 1)
    scale = scales_of(scheme, rows)
    groups = rows.view(rows.shape[0], scale.shape[1], -1)
    codes = groups.div(scale[:, :, None]).clamp_(-half, half - 1).round_()
    return pack(scheme, codes.view(rows.shape)), scale


def pack(scheme: Scheme, codes: torch.Tensor) -> torch.Tensor:
    """Return whole numbers as they are stored.

    Args:
        scheme: Of whole numbers.
        codes: Shape (rows, columns), of any type; they may be changed.
    """
    if not scheme.packed:
        return codes.to(torch.int8)
    whole = codes.add_(2 ** (scheme.bits - 1)).to(torch.uint8)
    if scheme.bits == 4:
        whole = _nibbles(whole)
    return whole.view(torch.int32)


def _nibbles(codes: torch.Tensor) -> torch.Tensor:
    """Put pairs of codes into a byte each, the first into the low half."""
    pairs = codes.view(torch.int16)
    return (pairs | (pairs >> 4)).to(torch.uint8)


def _nvfp4(
    scheme: Scheme,
    rows: torch.Tensor,
    overall: torch.Tensor | None,
    kernels: uploader_kernels.Library | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """FP4 with FP8 scales of 16 columns, and one of the whole tensor."""
    assert overall is not None
    wide = overall * (_magnitudes(rows, scheme.group) / _FP4_MAX)
    stored = wide.clamp(-_FP8_MAX, _FP8_MAX).to(_FP8)
    scale = _not_zero(stored.to(torch.float32), _FP8).to(rows.dtype)
    return _fp4(rows, scale / overall, kernels, rounded=False), scale.to(_FP8)


def _mxfp4(
    scheme: Scheme,
    rows: torch.Tensor,
    _: torch.Tensor | None,
    kernels: uploader_kernels.Library | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """FP4 with powers of two as scales of 32 columns."""
    magnitude = _round_to_power_of_two(_magnitudes(rows, scheme.group))
    exponent = _BIAS + torch.floor(torch.log2(magnitude)) - _FP4_OFFSET
    exponent = exponent.clamp(0, 255).round().to(torch.int32)
    scale = _not_zero((2.0 ** (exponent - _BIAS).float()).to(rows.dtype), torch.uint8)
    stored = (_BIAS + torch.floor(torch.log2(scale)).to(torch.int32)).to(torch.uint8)
    return _fp4(rows, scale, kernels, rounded=True), stored


def _round_to_power_of_two(magnitude: torch.Tensor) -> torch.Tensor:
    """Round up what would be more than FP4's largest, else down, by the bits of the number."""
    mantissa, kind = _MANTISSA[magnitude.dtype]
    up = 1 << (mantissa - 2)  # FP4 has one bit behind the point
    return ((magnitude.view(kind) + up) >> mantissa << mantissa).view(magnitude.dtype)


def _fp4(
    rows: torch.Tensor,
    divisors: torch.Tensor,
    kernels: uploader_kernels.Library | None,
    *,
    rounded: bool,
) -> torch.Tensor:
    """Round quotients to FP4, halves to even codes, and put two into a byte.

    Args:
        rows: Weights.
        divisors: Of each group of columns.
        kernels: The compiled ones.
        rounded: Whether quotients are of the type of the rows, as torch divides two of one type.
    """
    if kernels is not None:
        stored, wide = rows.contiguous(), divisors.float().contiguous()
        packed = torch.empty(rows.shape[0], rows.shape[1] // 2, dtype=torch.uint8)
        uploader_kernels.small_floats(
            kernels,
            (stored.data_ptr(), _SPELLED[rows.dtype]),
            wide.numel(),
            rows.shape[1] // wide.shape[1],
            wide.data_ptr(),
            packed.data_ptr(),
            rounded=rounded,
        )
        return packed
    scaled = rows.view(rows.shape[0], divisors.shape[1], -1) / divisors[:, :, None]
    size = scaled.abs()
    codes = torch.zeros(scaled.shape, dtype=torch.uint8)
    for bound, inclusive in _FP4_BOUNDS:
        codes += size >= bound if inclusive else size > bound
    codes |= (scaled < 0).to(torch.uint8) << 3
    return _nibbles(codes.view(rows.shape))


def _magnitudes(rows: torch.Tensor, group: int) -> torch.Tensor:
    """Return the largest magnitudes of groups of columns; of rows where the group is 0."""
    groups = rows.view(rows.shape[0], -1, group or rows.shape[1])
    return _finite(groups.abs().amax(-1))


def _scale(magnitude: torch.Tensor, top: float) -> torch.Tensor:
    return _not_zero(magnitude / top, magnitude.dtype)


def _not_zero(scale: torch.Tensor, stored: torch.dtype) -> torch.Tensor:
    instead = _SCALE_IF_ZERO.get(stored)
    return torch.where(scale == 0, torch.finfo(stored).eps if instead is None else instead, scale)


def _finite(magnitude: torch.Tensor) -> torch.Tensor:
    if not magnitude.isfinite().all():
        raise NotFiniteError
    return magnitude


_MANTISSA = {
    torch.bfloat16: (7, torch.int16),
    torch.float16: (10, torch.int16),
    torch.float32: (23, torch.int32),
}
_FP4_BOUNDS = (
    (0.25, False),
    (0.75, True),
    (1.25, False),
    (1.75, True),
    (2.5, False),
    (3.5, True),
    (5.0, False),
)
"""Between neighbours, and whether the upper one gets what is in the middle."""

_SPELLED = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
_COMPILED = {
    "float-quantized": _FP8,
    "int-quantized": torch.int8,
    "pack-quantized": torch.int32,
}
"""Types of the codes of the schemes that have kernels, but for FP8 in blocks."""

_ENCODERS: dict[str, Callable[..., tuple[torch.Tensor, torch.Tensor]]] = {
    "float-quantized": _floats,
    "int-quantized": _integers,
    "pack-quantized": _integers,
    "nvfp4-pack-quantized": _nvfp4,
    "mxfp4-pack-quantized": _mxfp4,
}
