"""Prove a finished 4-bit model from the files on disk, against what bitsandbytes computes.

Heavy: imports torch. A sample of pieces is merged again and quantised plainly, as bitsandbytes'
own ``backends/default/ops.py`` and ``csrc/cpu_ops.cpp`` (0.50) write it down, without the tables of
:mod:`uploader_merged.four_bit.quantise`: the largest weight of each block, the code of each weight,
the scale of each 256 scales, and their codes. What is in the files has to be equal, so there is no
limit to choose. How far a 4-bit weight is from the 16-bit one says nothing about a fault: with
double quantisation, the scale of a block of a real model can be off by a fifth of itself.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

import torch  # noqa: TID253 - this module computes

from uploader_core.plugin import IntegrityError, Json
from uploader_lora import StoredTensor
from uploader_merged.base.orientation import is_conv1d
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.compute.tensors import load, load_rows
from uploader_merged.failed_proof import failed_proof
from uploader_merged.four_bit.layout import piece_elements, state_ending
from uploader_merged.four_bit.quantise import FP4, NESTED_BLOCK, NF4, dynamic_map
from uploader_merged.settings import Merged4Settings

TENSORS = 24
"""Tensors that are looked at."""

_GRID = 65535  # cells that bitsandbytes rounds a scale to before it looks its code up


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sample:
    """Weights of one tensor as they were merged.

    Attributes:
        weights: Float32, flat, as bitsandbytes stores the matrix.
        start: Number of the first of them in the matrix; a block and a byte begin with it.
        dtype: Type that they were merged to.
        shape: Of the matrix as bitsandbytes stores it.
    """

    weights: torch.Tensor
    start: int
    dtype: torch.dtype
    shape: tuple[int, int]


def prove(
    checkpoint: Checkpoint, written: Mapping[str, StoredTensor], settings: Merged4Settings
) -> dict[str, Json]:
    """Quantise a sample again and compare it with the files.

    Args:
        checkpoint: What was merged and quantised.
        written: All tensors of the files, by name.
        settings: How it was quantised.

    Returns:
        The proof, for the record and the manifest.

    Raises:
        IntegrityError: Something in the files is not what bitsandbytes computes.
    """
    quantised = [n for n in checkpoint.names if f"{n}.{state_ending(settings)}" in written]
    chosen = quantised[:: max(1, len(quantised) // TENSORS)][:TENSORS]
    largest = 0.0
    for name in chosen:
        largest = max(largest, _compare(name, checkpoint, written, settings))
    return {
        "recomputed_tensors": len(chosen),
        "equal_to": "bitsandbytes",
        "largest_error_of_a_block": round(largest, 4),
    }


def _compare(
    name: str,
    checkpoint: Checkpoint,
    written: Mapping[str, StoredTensor],
    settings: Merged4Settings,
) -> float:
    """Compare one tensor; return the largest error in units of its block's largest weight."""
    sample = _sample(checkpoint, name, settings)
    block = settings.bnb_block_size
    code = torch.tensor(NF4 if settings.bnb_type == "nf4" else FP4, dtype=torch.float32)
    code = code / code.abs().max()
    _same(name, "code table", load(written[f"{name}.quant_map"]), code)
    scales, codes = _quantised(sample.weights, code, block)
    first = sample.start // block
    offset = _offset(name, written, sample, settings)
    if offset is None:
        stored = load_rows(written[f"{name}.absmax"], first, first + scales.numel())
        _same(name, "scale of block", stored, scales, first)
    else:
        stored = _nested(name, written, scales, first, offset)
    packed = load_rows(
        written[name], sample.start // 2, (sample.start + codes.numel() + 1) // 2
    ).view(-1)
    found = torch.stack([packed >> 4, packed & 15], 1).view(-1)
    _same(name, "code of weight", found[: codes.numel()], codes, sample.start)
    # For the record alone: it is bitsandbytes' own error, and no fault.
    count = sample.weights.numel()
    value = code[found[:count].long()] * stored.repeat_interleave(block)[:count]
    size = scales.clamp(min=1e-38).repeat_interleave(block)[:count]
    return float(((value - sample.weights).abs() / size).max())


def _sample(checkpoint: Checkpoint, name: str, settings: Merged4Settings) -> _Sample:
    """Merge one piece of a tensor again, cut as it was when it was written.

    Products of other pieces may differ in the last bit of a sum, and so in a code.
    """
    rows, columns = checkpoint.shape(name)
    if is_conv1d(name.removesuffix(".weight"), checkpoint.config):
        whole = checkpoint.read(name).T.contiguous()
        return _Sample(
            weights=whole.float().reshape(-1), start=0, dtype=whole.dtype, shape=(columns, rows)
        )
    elements = piece_elements(columns, settings)
    height = elements // columns
    number = random.Random(name).randrange(math.ceil(rows / height))  # noqa: S311 - a sample
    piece = next(p for n, p in enumerate(checkpoint.pieces(name, elements)) if n == number)()
    return _Sample(
        weights=piece.float().reshape(-1),
        start=number * height * columns,
        dtype=piece.dtype,
        shape=(rows, columns),
    )


def _quantised(
    weights: torch.Tensor, code: torch.Tensor, block: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return scales, and a code for each weight and for what fills the last byte."""
    order = torch.argsort(code)
    bounds = (code[order[:-1]] + code[order[1:]]) / 2
    whole = weights.numel() - weights.numel() % block
    matrix = weights[:whole].view(-1, block)
    scales = matrix.abs().amax(1) if whole else weights.new_empty(0)
    scaled = (matrix * (1.0 / scales.clamp(min=1e-38)).view(-1, 1)).clamp(-1, 1).view(-1)
    if whole < weights.numel():
        last = weights[whole:].abs().max().clamp(min=1e-38)
        scales = torch.cat([scales, last.view(1)])
        scaled = torch.cat([scaled, (weights[whole:] / last).clamp(-1, 1)])
    if scaled.numel() % 2:
        scaled = torch.nn.functional.pad(scaled, (0, 1))
    return scales, order.to(torch.uint8)[torch.bucketize(scaled, bounds, out_int32=True)]


def _offset(
    name: str,
    written: Mapping[str, StoredTensor],
    sample: _Sample,
    settings: Merged4Settings,
) -> float | None:
    """Return what was subtracted from all scales, after a look at the rest of the state.

    It is the mean of all scales, which only all weights tell. A wrong one does not pass: the scales
    of the scales are computed from it.
    """
    state = json.loads(bytes(load(written[f"{name}.{state_ending(settings)}"]).tolist()))
    expected: dict[str, Json] = {
        "quant_type": settings.bnb_type,
        "blocksize": settings.bnb_block_size,
        "dtype": str(sample.dtype).removeprefix("torch."),
        "shape": list(sample.shape),
    }
    offset = state.pop("nested_offset", None)
    if settings.bnb_double_quant:
        expected |= {"nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32"}
    if state != expected or isinstance(offset, float) != settings.bnb_double_quant:
        raise _broken(name, "its quantisation state is another")
    return None if offset is None else float(offset)


def _nested(
    name: str,
    written: Mapping[str, StoredTensor],
    scales: torch.Tensor,
    first: int,
    offset: float,
) -> torch.Tensor:
    """Compare what 8-bit scales consist of, and return the scales that they stand for.

    Args:
        name: Of the tensor.
        written: All tensors of the files.
        scales: In 32 bits.
        first: Number of the first one in the matrix.
        offset: What was subtracted.
    """
    table = load(written[f"{name}.nested_quant_map"])
    _same(name, "table of scales", table, dynamic_map())
    outer = load(written[f"{name}.nested_absmax"])
    every = written[f"{name}.absmax"]
    deviations = scales - torch.tensor(offset, dtype=torch.float32)
    for number in range(first // NESTED_BLOCK, math.ceil((first + len(scales)) / NESTED_BLOCK)):
        start, stop = number * NESTED_BLOCK, min((number + 1) * NESTED_BLOCK, every.shape[0])
        if first <= start and stop <= first + len(scales):  # all that share this scale are here
            inside = deviations[start - first : stop - first].abs().amax().view(1)
            _same(name, "scale of scales", outer[number : number + 1], inside, number)
    places = torch.arange(first, first + len(scales)) // NESTED_BLOCK
    inverse = torch.where(outer > 0, 1.0 / outer, 0.0)[places]
    cells = ((deviations * inverse).clamp(-1, 1) + 1.0) * (_GRID / 2) + 0.5
    nearest = torch.bucketize(
        cells.long().double() * (2 / _GRID) - 1, (table[:-1].double() + table[1:].double()) / 2
    )
    codes = torch.where(outer[places] > 0, nearest, 0).to(torch.uint8)
    found = load_rows(every, first, first + len(scales))
    _same(name, "8-bit scale of block", found, codes, first)
    return table[found.long()] * outer[places] + offset


def _same(
    name: str, what: str, found: torch.Tensor, expected: torch.Tensor, first: int = 0
) -> None:
    """Compare bit by bit; ``first`` is the number of the first element, for the message."""
    if found.dtype == torch.float32:
        found, expected = found.view(torch.int32), expected.view(torch.int32)
    different = (found != expected).nonzero()
    if len(different):
        raise _broken(
            name,
            f"{what} {first + int(different[0])} is not what bitsandbytes computes "
            f"({len(different)} of {len(found)} differ)",
        )


def _broken(name: str, why: str) -> IntegrityError:
    return failed_proof(f"the proof of the 4-bit model failed at {name}: {why}")
