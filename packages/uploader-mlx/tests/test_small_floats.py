"""FP4 has the bits of ``mx.quantize``. Seen equal with mlx 0.32.4 on processors with AVX-512."""

from __future__ import annotations

import mlx.core as mx
import pytest
import torch

from uploader_mlx.arrays import content, from_torch
from uploader_mlx.kinds import plain
from uploader_mlx.small_floats import encode_fp4

pytestmark = pytest.mark.bits


def rows(dtype: torch.dtype) -> torch.Tensor:
    """Weights of every size, groups of zeros, halves between codes, the largest and the least."""
    torch.manual_seed(1)
    found = (torch.randn(512, 1024) * torch.logspace(-9, 3, 512)[:, None]).to(dtype)
    found[3, :64] = 0
    found[4, :32] = -0.0
    halves = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0, -0.25, -0.75, -2.5, -6.0])
    found[5] = halves.repeat(86)[:1024].to(dtype)
    found[6] = torch.linspace(-6, 6, 1024).to(dtype)
    found[7, :16] = 2688
    found[8, :16] = torch.finfo(dtype).smallest_normal
    return found


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("kind", ["nvfp4", "mxfp4"])
def test_every_bit_is_that_of_mlx(kind: str, dtype: torch.dtype) -> None:
    how = plain(kind, 64)
    assert how is not None
    weights = rows(dtype)
    ours = encode_fp4(how, weights)
    theirs = mx.quantize(from_torch(weights), how.group, how.bits, mode=how.mode)
    for left, right in zip(ours, theirs, strict=True):
        assert bytes(left) == bytes(content(right))
