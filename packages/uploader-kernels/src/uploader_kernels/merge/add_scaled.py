"""What ``add_scaled.h`` computes, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def add_scaled(
    stored: Array, stored_type: str, delta: npt.NDArray[np.float32], scale: float, wanted: str
) -> tuple[Array, bool]:
    """Return ``stored + delta * scale``, and whether the sums and what is stored are finite.

    Everything is float32, and the product is rounded before it is added.

    Args:
        stored: Values; of BF16 their bits, which numpy has no type for.
        stored_type: ``F32``, ``F16`` or ``BF16``.
        delta: As many values.
        scale: Of them.
        wanted: Type of the result, spelled the same.
    """
    with np.errstate(all="ignore"):
        sums = widen(stored, stored_type) + delta * np.float32(scale)
        out = narrow(sums, wanted)
        finite = np.isfinite(sums) & np.isfinite(widen(out, wanted))
    return out, bool(finite.all())


def widen(values: Array, kind: str) -> npt.NDArray[np.float32]:
    """Return values of a type in float32; of BF16 they are bits."""
    if kind == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)


def narrow(sums: npt.NDArray[np.float32], kind: str) -> Array:
    """Round to nearest, to the even one of two that are as near."""
    if kind != "BF16":
        return sums.astype({"F32": np.float32, "F16": np.float16}[kind])
    bits = sums.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
