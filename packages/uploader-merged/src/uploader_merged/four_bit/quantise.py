"""Quantise a matrix to 4 bits exactly as bitsandbytes does on a CPU, several times as fast.

Heavy: imports torch. bitsandbytes itself is not needed to write, only to load. Ported from its
``backends/default/ops.py``, ``functional.py`` and ``csrc/cpu_ops.cpp`` (0.50; MIT licence): the
tests compare every byte. Fast because blocks stay in the processor's cache, and because the upper
half of a float's bits looks up the nearest code, or the one bound that is left to compare with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch  # noqa: TID253 - this module computes

NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
"""Quantiles of a normal distribution (QLoRA, https://arxiv.org/abs/2305.14314)."""

FP4 = (0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0, 0, -0.0625, -8.0, -12.0, -4.0, -6.0, -2.0, -3.0)
"""Sign, two bits of exponent, one of fraction, in the order of their bits; divided by 12."""

NESTED_BLOCK = 256
"""Scales that share a scale when scales are quantised too."""

_GRID = 65535
_CHUNK = 1 << 18
"""Elements that are worked on at once: they fit the second-level cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantised:
    """A matrix in 4 bits, in the parts that a file has.

    Attributes:
        packed: Two codes in a byte, the first in the high half; shape (bytes, 1).
        state: Tensors by the ending of their name, and the JSON of the quantisation state.
    """

    packed: torch.Tensor
    state: dict[str, torch.Tensor]


class Quantiser:
    """Quantises matrices; keeps the tables.

    Args:
        kind: ``nf4`` or ``fp4``.
        block: Elements that share a scale.
        nested: Quantise the scales to 8 bits as well.
        pool: Runs pieces of one matrix side by side.
        device: Where codes are looked up; every operation there is exact or rounded as on a CPU,
            so the bytes are the same.
    """

    def __init__(
        self,
        kind: str,
        block: int,
        nested: bool,
        pool: ThreadPoolExecutor,
        device: torch.device | None = None,
    ) -> None:
        self._device = device or torch.device("cpu")
        self._kind = kind
        self._block = block
        self._nested = nested
        self._pool = pool
        code = torch.tensor(NF4 if kind == "nf4" else FP4, dtype=torch.float32)
        self._code = code / code.abs().max()
        order = torch.argsort(self._code)
        ordered = self._code[order]
        below, bound = _cells((ordered[:-1] + ordered[1:]) / 2)
        self._below, self._bound = below.to(self._device), bound.to(self._device)
        self._order = None if kind == "nf4" else order.to(self._device, torch.uint8)
        self._dynamic = dynamic_map()
        # bitsandbytes rounds to a grid first and looks the nearest code up there.
        grid = torch.arange(_GRID + 1, dtype=torch.float64) * (2 / _GRID) - 1
        middles = (self._dynamic[:-1].double() + self._dynamic[1:].double()) / 2
        self._nearest = torch.searchsorted(middles, grid).to(torch.uint8)

    def quantise(self, blocks: Iterable[torch.Tensor], shape: tuple[int, int]) -> Quantised:
        """Quantise a matrix.

        Args:
            blocks: Its rows in order, in pieces whose sizes (but the last) are multiples of the
                block size; all of one 16-bit or 32-bit floating type.
            shape: Of the whole matrix.

        Raises:
            ValueError: A weight is NaN or infinite, which would take its whole block with it.
        """
        packed, scales, dtype = [], [], torch.float32
        for part in self._pool.map(self._pack, self._pieces(blocks)):
            packed.append(part[0])
            scales.append(part[1])
            dtype = part[2]
        absmax = torch.cat(scales)
        if not absmax.isfinite().all():
            raise ValueError("NaN or infinity")
        state: dict[str, torch.Tensor] = {}
        description = {
            "quant_type": self._kind,
            "blocksize": self._block,
            "dtype": str(dtype).removeprefix("torch."),
            "shape": list(shape),
        }
        if self._nested:
            # Of many scales, torch's mean differs in the last bit with the number of threads. Steps
            # compute in one (``thread_pool``), so that every machine writes the same bytes.
            offset = absmax.mean()
            state["absmax"], state["nested_absmax"] = self._quantise_scales(absmax - offset)
            state["nested_quant_map"] = self._dynamic
            description |= {
                "nested_blocksize": NESTED_BLOCK,
                "nested_dtype": "float32",
                "nested_offset": offset.item(),
            }
        else:
            state["absmax"] = absmax
        state["quant_map"] = self._code
        text = json.dumps(description).encode()
        state[f"quant_state.bitsandbytes__{self._kind}"] = torch.tensor(
            list(text), dtype=torch.uint8
        )
        return Quantised(packed=torch.cat(packed).view(-1, 1), state=state)

    def _pieces(self, blocks: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        step = _CHUNK - _CHUNK % self._block
        for block in blocks:
            flat = block.reshape(-1)
            for start in range(0, flat.numel(), step):
                yield flat[start : start + step]

    def _pack(self, piece: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.dtype]:
        """Return packed codes, scales and the type of one piece."""
        value = piece.to(self._device).float()
        whole = value.numel() - value.numel() % self._block
        matrix = value[:whole].view(-1, self._block)
        scales = matrix.abs().amax(1) if whole else value.new_empty(0)
        # A product with the inverse here and a quotient for the rest, as in bitsandbytes.
        matrix = matrix * (1.0 / scales.clamp(min=1e-38)).view(-1, 1)
        scaled = matrix.clamp_(-1, 1).view(-1)
        if whole < value.numel():
            last = value[whole:].abs().max().clamp(min=1e-38)
            scales = torch.cat([scales, last.view(1)])
            scaled = torch.cat([scaled, torch.clamp(value[whole:] / last, -1, 1)])
        if scaled.numel() % 2:
            scaled = torch.nn.functional.pad(scaled, (0, 1))
        cells = (scaled.view(torch.int32) >> 16).bitwise_and_(0xFFFF)
        above = scaled > self._bound.index_select(0, cells)
        codes = self._below.index_select(0, cells).add_(above.view(torch.uint8))
        if self._order is not None:
            codes = self._order.index_select(0, codes.int())
        # The first code of a pair is the low byte here, and the high half of a byte in the file.
        pairs = codes.view(torch.int16)
        packed = (pairs << 4).bitwise_or_(pairs >> 8).to(torch.uint8)
        return packed.cpu(), scales.cpu(), piece.dtype

    def _quantise_scales(self, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return 8-bit codes of the scales, and one scale for each block of them."""
        count = math.ceil(value.numel() / NESTED_BLOCK)
        padded = torch.zeros(count * NESTED_BLOCK).index_copy_(
            0, torch.arange(value.numel()), value
        )
        scales = padded.view(count, NESTED_BLOCK).abs().amax(1)
        inverse = torch.where(scales > 0, 1.0 / scales, 0.0)
        scaled = (padded.view(count, NESTED_BLOCK) * inverse.view(-1, 1)).view(-1)
        codes = self._nearest[((scaled + 1.0) * (_GRID / 2) + 0.5).long().clamp_(0, _GRID)]
        codes = codes.view(count, NESTED_BLOCK) * (scales > 0).view(-1, 1)
        return codes.view(-1)[: value.numel()].contiguous(), scales


def best_device() -> torch.device:
    """Return a GPU that has room for a few blocks, or the CPU."""
    if torch.cuda.is_available():
        try:
            return torch.zeros(_CHUNK * 16, device="cuda").device
        except RuntimeError:
            pass  # out of memory, or a driver that does not fit
    return torch.device("cpu")


def _cells(bounds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tables by the upper 16 bits of a float32 between -1 and 1.

    All floats with the same upper bits lie side by side, and the bounds lie so far from each other
    that at most one is among them.

    Args:
        bounds: Ascending, float32.

    Returns:
        How many bounds are below all of these floats, and the one that is among them (infinity
        when none is). Shape (65536,) each.
    """
    upper = torch.arange(1 << 16, dtype=torch.int32) << 16
    ends = torch.stack([upper.view(torch.float32), (upper | 0xFFFF).view(torch.float32)])
    ends = torch.where(ends.isfinite().all(0), ends, 0.0)
    low, high = ends.amin(0), ends.amax(0)
    below = torch.searchsorted(bounds, low)
    among = torch.searchsorted(bounds, high, right=True) - below
    assert int(among.max()) <= 1
    inside = bounds[below.clamp(max=len(bounds) - 1)]
    return below.to(torch.uint8), torch.where(among == 1, inside, torch.inf)


def dynamic_map() -> torch.Tensor:
    """Return the 256 values of bitsandbytes' signed dynamic 8-bit type, ascending.

    (8-Bit Approximations for Parallelism in Deep Learning, https://arxiv.org/abs/1511.04561)
    """
    values: list[float] = [0.0, 1.0]
    for exponent in range(7):
        ends = torch.linspace(0.1, 1, 2**exponent + 1, dtype=torch.float32)
        means = (ends[:-1] + ends[1:]) / 2.0
        values += ((10 ** (exponent - 6)) * means).tolist()
        values += (-(10 ** (exponent - 6)) * means).tolist()
    return torch.tensor(sorted(values), dtype=torch.float32)
