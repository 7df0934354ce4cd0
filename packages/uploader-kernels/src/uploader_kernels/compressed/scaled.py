"""What ``scaled.h`` computes, in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from uploader_kernels.merge.add_scaled import Array, narrow, widen

_EPS = {"BF16": 2.0**-7, "F16": 2.0**-10, "F32": 2.0**-23}


def compress(
    stored: Array, kind: str, group: int, *, floating: bool, bits: int, offset: int
) -> tuple[Array, Array] | None:
    """Return codes and scales of rows, or None where a weight is not finite.

    Args:
        stored: (rows, columns); of BF16 their bits, which numpy has no type for.
        kind: ``F32``, ``F16`` or ``BF16``.
        group: Columns that share a scale; they divide the columns.
        floating: FP8, and not whole numbers.
        bits: Of a whole number: 8, or 4, of which a byte has two.
        offset: Is added to whole numbers.
    """
    wide = widen(stored, kind).reshape(stored.shape[0], -1, group)
    if not np.isfinite(wide).all():
        return None
    half = 2.0 ** (bits - 1)
    top = np.float32(448 if floating else (2**bits - 1) / 2)
    scales = widen(narrow(np.abs(wide).max(-1) / top, kind), kind)
    scales[scales == 0] = _EPS[kind]
    quotients = widen(narrow(wide / scales[:, :, None], kind), kind)
    if floating:
        codes = _fp8((quotients + np.float32(0)).clip(-448, 448))
    else:
        codes = np.rint(quotients.clip(-half, half - 1)) + offset
    stored_codes: Array = codes.astype(np.int32).astype(np.uint8).reshape(stored.shape[0], -1)
    if bits == 4:
        stored_codes = stored_codes[:, ::2] | (stored_codes[:, 1::2] << 4)
    return stored_codes, narrow(scales, kind)


def _fp8(values: npt.NDArray[np.float32]) -> Array:
    """Round to the nearest of E4M3, the even one of two: three bits behind the point."""
    size = np.abs(values)
    exponent = np.where(size < 2.0**-6, -6, np.frexp(size)[1] - 1)
    steps = np.rint(size * np.exp2(3.0 - exponent)).astype(np.int32)
    codes: Array = ((exponent + 6) * 8 + steps) | np.signbit(values) * 128
    return codes
