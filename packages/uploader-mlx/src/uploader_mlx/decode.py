"""What codes stand for, plainly: to prove what was written, and to measure it. Heavy: torch.

mlx takes no part in it, so that neither hides a mistake of the other; the tests compare it with
``mx.dequantize``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch  # noqa: TID253 - this module computes

from uploader_merged.compute.mlx_codes import float_values, scale_values, unpack
from uploader_mlx.kinds import Quantisation

_ROUNDED = 2**-8
"""Of a number that is rounded to BF16, the coarsest type of weights, with room."""
_LEAST = 2**-9
"""The least that E4M3 can hold."""


def decode(how: Quantisation, parts: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights and the scale of each of them, in float64.

    Args:
        how: How they are quantised.
        parts: Codes as 32-bit words, scales, and biases of whole numbers.
    """
    codes, scales = unpack(parts[0], how.bits), scale_values(how.mode, parts[1])
    wide: torch.Tensor = scales.repeat_interleave(how.group, -1)
    if how.mode == "affine":
        bias = parts[2].double().repeat_interleave(how.group, -1)
        return codes * wide + bias, wide
    return float_values(codes, how.bits) * wide, wide


def step(how: Quantisation, weights: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return how far weights may be from what their codes stand for.

    Args:
        how: How they are quantised.
        weights: What was quantised, in float64.
        scales: Of each weight.
    """
    sizes = weights.abs()
    groups = _in_groups(sizes, how.group).amax(-1)
    largest: torch.Tensor = groups.repeat_interleave(how.group, -1)
    unit: torch.Tensor = scales.abs()
    if how.mode == "affine":
        # Scale and bias are rounded to the type of the weights after codes were chosen by them, and
        # the end of a group that is not the larger one may lie a whole step outside.
        whole: torch.Tensor = unit * (1.5 + (2**how.bits - 1) * _ROUNDED)
        return whole + largest * _ROUNDED + 1e-7
    # The largest of a group is cut off where its scale was rounded down: to a power of two, or FP8.
    cut: torch.Tensor = largest * (1 / 8 if how.mode == "nvfp4" else 0.35)
    if how.bits == 4:
        return unit + cut + 6 * _LEAST
    return unit * _LEAST + sizes / 16 + cut


def _in_groups(values: torch.Tensor, size: int) -> torch.Tensor:
    """Return the last axis cut into groups."""
    cut: torch.Tensor = values.reshape(*values.shape[:-1], -1, size)
    return cut
