"""Codes, scales and biases are those of ``mx.quantize``, whoever makes them.

Seen equal with mlx 0.32.4 on processors with AVX-512.
"""

from __future__ import annotations

import mlx.core as mx
import pytest
import torch

import uploader_kernels
from uploader_mlx.arrays import content, from_torch
from uploader_mlx.encode import NotHeldError, encode
from uploader_mlx.kinds import Quantisation

pytestmark = pytest.mark.bits

MODES = [("affine", bits, group) for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128)]
MODES += [("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]


def rows(dtype: torch.dtype) -> torch.Tensor:
    """Weights of every size and sign, groups of one number, halves, and zeros."""
    torch.manual_seed(1)
    found = (torch.randn(256, 1024) * torch.logspace(-9, 2, 256)[:, None]).to(dtype)
    found[3, :128] = 0
    found[4, :128] = -0.0
    found[5] = found[5].abs() + 1
    found[6] = -found[6].abs() - 1
    found[7] = 0.7
    found[8] = torch.linspace(-6, 6, 1024).to(dtype)
    halves = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0, -0.25, -0.75, -2.5, -6.0])
    found[9] = halves.repeat(86)[:1024].to(dtype)
    return found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(map(str, mode)))
def test_every_bit_is_that_of_mlx(mode: tuple[str, int, int], dtype: torch.dtype) -> None:
    name, bits, group = mode
    how = Quantisation(mode=name, bits=bits, group=group)
    weights = rows(dtype)
    theirs = mx.quantize(from_torch(weights), group, bits, mode=name)
    for kernels in (None, uploader_kernels.load()):
        ours = encode(how, weights, kernels)
        for left, right in zip(ours, theirs, strict=True):
            assert bytes(left) == bytes(content(right))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("kernels", [None, uploader_kernels.load_if_there()])
def test_a_weight_that_is_not_finite(
    value: float, kernels: uploader_kernels.Library | None
) -> None:
    weights = rows(torch.bfloat16)
    weights[200, 1000] = value
    with pytest.raises(NotHeldError, match="NaN or infinity"):
        encode(Quantisation(mode="affine", bits=4, group=64), weights, kernels)
