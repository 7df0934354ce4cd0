"""What ``small.h`` computes, in numpy."""

from __future__ import annotations

import numpy as np

from uploader_kernels.merge.add_scaled import Array, narrow, widen

_BOUNDS = (
    (0.25, False), (0.75, True), (1.25, False), (1.75, True), (2.5, False), (3.5, True),
    (5.0, False),
)  # fmt: skip
"""Between neighbours, and whether the upper one gets what is in the middle."""


def small_floats(stored: Array, kind: str, divisors: Array, *, rounded: bool) -> Array:
    """Return FP4 codes of rows, two in a byte, the first in the low half.

    Args:
        stored: (rows, columns); of BF16 their bits, which numpy has no type for.
        kind: ``F32``, ``F16`` or ``BF16``.
        divisors: Of each group of columns, (rows, groups), float32.
        rounded: Whether quotients are rounded to the type of the weights.
    """
    grouped = widen(stored, kind).reshape(*divisors.shape, -1)
    wide = (grouped / divisors[:, :, None]).astype(np.float32)
    if rounded:
        wide = widen(narrow(wide, kind), kind)
    size = np.abs(wide)
    codes: Array = (wide < 0).astype(np.uint8) << 3
    for bound, upper in _BOUNDS:
        codes = codes + (size >= bound if upper else size > bound).astype(np.uint8)
    flat = codes.reshape(len(stored), -1)
    packed: Array = flat[:, ::2] | flat[:, 1::2] << 4
    return packed
