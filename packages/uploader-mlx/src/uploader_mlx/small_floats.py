"""FP4 with the bits of ``mx.quantize`` on a processor, in a fifteenth of its time. Heavy: torch.

mlx compares every weight with all sixteen numbers. Half of the way between two it takes the smaller
one, and zero has no sign. A quotient in 16 bits has one of 65,536 values, so its code is looked up.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np  # noqa: TID253 - this module computes
import numpy.typing as npt  # noqa: TID253
import torch  # noqa: TID253

from uploader_mlx.kinds import Quantisation

_BETWEEN = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
_LARGEST = 6
_BIAS = 127


def encode_fp4(how: Quantisation, rows: torch.Tensor) -> tuple[memoryview, memoryview]:
    """Return codes, two in a byte, and scales of finite rows.

    Args:
        how: ``nvfp4`` or ``mxfp4``.
        rows: (rows, columns) in 16 or 32 bits; columns are whole groups.
    """
    groups = rows.contiguous().view(-1, how.group)
    # Every step is rounded to the type of the weights, as mlx's are.
    wanted = groups.abs().amax(-1) / _LARGEST
    if how.mode == "nvfp4":
        scales = wanted.to(torch.float8_e4m3fn)
        divisors, stored = scales.to(rows.dtype), scales.view(torch.uint8)
    else:
        wide = wanted.float()
        power = torch.where(wide == 0, 0.0, wide.log2().ceil()).clamp(-_BIAS, _BIAS)
        divisors, stored = power.exp2().to(rows.dtype), (power + _BIAS).to(torch.uint8)
    # A group whose scale is too small for FP8 is all zeros.
    quotients = torch.where(divisors[:, None] == 0, 0.0, groups / divisors[:, None])
    codes = _codes(quotients.to(rows.dtype))
    pairs = codes.view(np.uint16)
    packed: npt.NDArray[np.uint8] = (pairs | (pairs >> 4)).astype(np.uint8)
    plain: tuple[Any, Any] = packed, stored.numpy()  # their stubs do not say that they are buffers
    return memoryview(plain[0]), memoryview(plain[1])


def _codes(quotients: torch.Tensor) -> npt.NDArray[np.uint8]:
    if quotients.dtype == torch.float32:
        return _nearest(quotients.flatten()).numpy()
    places = quotients.contiguous().view(torch.int16).numpy().view(np.uint16).reshape(-1)
    found: npt.NDArray[np.uint8] = np.take(_table(quotients.dtype), places)
    return found


@functools.cache
def _table(dtype: torch.dtype) -> npt.NDArray[np.uint8]:
    """Return the code of every number that a type of 16 bits has."""
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(dtype)
    return _nearest(every).numpy()


def _nearest(quotients: torch.Tensor) -> torch.Tensor:
    codes = torch.bucketize(quotients.abs().float(), _BETWEEN).to(torch.uint8)
    return codes | ((quotients < 0) & (codes > 0)).to(torch.uint8) << 3
