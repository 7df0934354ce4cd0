"""Undo codes plainly, to prove what was written. Heavy: imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch  # noqa: TID253 - this module computes

from uploader_compressed.schemes import BLOCK, Scheme
from uploader_lora import StoredTensor
from uploader_merged.compute.tensors import load, load_rows

_FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=torch.float64)
_BIAS = 127


def decode(
    scheme: Scheme, written: Mapping[str, StoredTensor], name: str, rows: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows of a quantised weight and the scale of each of its weights, in float64.

    Args:
        scheme: How it is quantised.
        written: All tensors of the files, by name.
        name: Of the weight in the checkpoint.
        rows: The first, and the one after the last.
    """
    module = name.removesuffix(".weight")
    codes = _codes(scheme, written, module, rows)
    high = BLOCK if scheme.strategy == "block" else 1
    stored = written[f"{module}.weight_scale"]
    scales = load_rows(stored, rows[0] // high, (rows[1] - 1) // high + 1)
    scales = torch.exp2(scales.double() - _BIAS) if stored.dtype == "U8" else scales.double()
    scales = scales.repeat_interleave(high, 0)[rows[0] % high :][: rows[1] - rows[0]]
    if scheme.strategy == "tensor_group":
        scales = scales / load(written[f"{module}.weight_global_scale"]).double()
    width = BLOCK if scheme.strategy == "block" else scheme.group or codes.shape[1]
    scales = scales.repeat_interleave(width, 1)[:, : codes.shape[1]]
    return codes * scales, scales


def step(scheme: Scheme, sizes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return how far from a weight its code may be.

    Half the distance of neighbours, and what is lost where quotients are rounded to 16 bits, with
    the largest cut off at the end of the codes.

    Args:
        scheme: How it is quantised.
        sizes: Magnitudes of the weights.
        scales: Of each weight.
    """
    if not scheme.floating:
        return scales * (0.6 if scheme.bits == 4 else 1.1)
    if scheme.bits == 8:
        return sizes * (2**-4 + 2**-7) + scales * 2**-9
    return sizes * 0.21 + scales * 0.26


def _codes(
    scheme: Scheme, written: Mapping[str, StoredTensor], module: str, rows: tuple[int, int]
) -> torch.Tensor:
    if not scheme.packed:
        return load_rows(written[f"{module}.weight"], *rows).double()
    packed = load_rows(written[f"{module}.weight_packed"], *rows).contiguous().view(torch.uint8)
    if scheme.bits == 4:
        packed = torch.stack([packed & 15, packed >> 4], -1).flatten(1)
    if not scheme.floating:
        whole: torch.Tensor = packed.double() - 2 ** (scheme.bits - 1)
        return whole
    magnitude = _FP4[(packed & 7).long()]
    value: torch.Tensor = torch.where(packed >= 8, -magnitude, magnitude)
    return value
