"""Every kernel's twin by type: what it computes, in numpy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from uploader_kernels.encoders import iq3, iq4, one_scale, q2_k, q3_k, q6_k, q45_k
from uploader_kernels.encoders.blocks import Bytes, Floats


def _q8_0(rows: Floats, importance: Floats | None) -> Bytes:
    return one_scale.encode_q8(rows)


TWINS: dict[int, Callable[[Floats, Floats | None], Bytes]] = {
    2: partial(one_scale.encode, bits=4),
    6: partial(one_scale.encode, bits=5),
    8: _q8_0,
    10: q2_k.encode,
    11: q3_k.encode,
    12: partial(q45_k.encode, bits=4),
    13: partial(q45_k.encode, bits=5),
    14: q6_k.encode,
    18: iq3.encode_xxs,
    20: iq4.encode_nl,
    21: iq3.encode_s,
    23: iq4.encode_xs,
}
"""By ``enum ggml_type``, for every type of :data:`uploader_kernels.TYPES`."""


def encode(rows: Floats, kind: int, importance: Floats | None = None) -> Bytes:
    """Store rows as a type, slowly; see :func:`uploader_kernels.encode`.

    Blocks that the kernel leaves to the stock encoder may differ.

    Args:
        rows: Finite values, shape (n, row length).
        kind: One of :data:`TWINS`, whose block divides the row length.
        importance: Weight of each column, shape (row length,).

    Returns:
        Bytes, shape (n, bytes of a row).
    """
    # As in C, a lane goes on with quotients that nothing comes of.
    with np.errstate(all="ignore"):
        return TWINS[kind](rows, importance).reshape(rows.shape[0], -1)
