"""What ``affine.h`` computes, in numpy."""

from __future__ import annotations

import numpy as np

from uploader_kernels.merge.add_scaled import Array, narrow, widen

_EPS = np.float32(1e-7)


def affine(stored: Array, kind: str, group: int, bits: int) -> tuple[Array, Array, Array] | None:
    """Return codes, scales and biases of rows, or None where a weight is not finite.

    Args:
        stored: (rows, columns); of BF16 their bits, which numpy has no type for.
        kind: ``F32``, ``F16`` or ``BF16``.
        group: Columns that share a scale; they divide the columns.
        bits: Of a code: 2, 3, 4, 5, 6 or 8.
    """
    wide = widen(stored, kind).reshape(-1, group)
    if not np.isfinite(wide).all():
        return None
    top = np.float32(2**bits - 1)
    least, most = wide.min(-1), wide.max(-1)
    below = np.abs(least) > np.abs(most)
    with np.errstate(all="ignore"):
        scale = np.maximum((most - least) / top, _EPS)
        scale = np.where(below, scale, -scale)
        edge = np.where(below, least, most)
        steps = np.rint(edge / scale)
        # The end that is farther from zero is stored exactly.
        scale = np.where(steps == 0, scale, edge / steps)
        bias = np.where(steps == 0, np.float32(0), edge)
        quotients = (wide - bias[:, None]) / scale[:, None]
    codes = np.rint(quotients.clip(0, top)).astype(np.uint8)
    each = (codes[:, :, None] >> np.arange(bits, dtype=np.uint8)) & 1
    packed = np.packbits(each.reshape(stored.shape[0], -1), axis=-1, bitorder="little")
    return packed, narrow(scale.astype(np.float32), kind), narrow(bias.astype(np.float32), kind)
