"""Work on rows of values with the compiled kernels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from uploader_kernels.library import Library

Rows = npt.NDArray[np.float32]

TYPES = {
    2: (32, 18),  # Q4_0
    6: (32, 22),  # Q5_0
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    18: (256, 98),  # IQ3_XXS
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    23: (256, 136),  # IQ4_XS
}
"""Values and bytes of a block, by ``enum ggml_type``: the types that :func:`encode` knows."""


def encode(
    library: Library, rows: Rows, kind: int, importance: Rows | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Store rows as a type, with the bytes of ggml's ``ggml_quantize_chunk``.

    Other threads run meanwhile.

    Args:
        library: What :func:`uploader_kernels.load` returned.
        rows: Finite values, shape (n, row length), float32, C order.
        kind: ``enum ggml_type``, one of :data:`TYPES` whose block divides the row length.
        importance: Weight of each column, shape (row length,), float32, C order. Q8_0 has none.

    Returns:
        Bytes, shape (n, bytes of a row), and the numbers of the blocks, counted over all rows, that
        the stock encoder has to do: their sums leave the range of floats, and what a processor
        makes of that is its own. Among them is every block whose scale half precision cannot hold.

    Raises:
        ValueError: The kind is not known, or its block does not divide the rows.
    """
    if kind not in TYPES or rows.shape[1] % TYPES[kind][0]:
        raise ValueError(f"no kernel for type {kind} and rows of {rows.shape[1]} values")
    block, size = TYPES[kind]
    across = rows.shape[1] // block
    out = np.empty((rows.shape[0], across * size), dtype=np.uint8)
    strange = np.empty(rows.shape[0] * across, dtype=np.int64)
    count = library.functions.uploader_kernels_encode(
        library.number,
        kind,
        rows.ctypes.data,
        None if importance is None else importance.ctypes.data,
        rows.shape[0],
        rows.shape[1],
        out.ctypes.data,
        strange.ctypes.data,
    )
    return out, strange[:count]


def all_finite(library: Library, rows: Rows) -> bool:
    """Return whether there is neither NaN nor an infinity.

    Args:
        library: What :func:`uploader_kernels.load` returned.
        rows: Any shape, float32, C order.
    """
    return bool(
        library.functions.uploader_kernels_finite(library.number, rows.ctypes.data, rows.size)
    )


def round_half(library: Library, rows: Rows) -> tuple[Rows, bool]:
    """Return values as half precision holds them, and whether all are finite then.

    Args:
        library: What :func:`uploader_kernels.load` returned.
        rows: Any shape, float32, C order.
    """
    out = np.empty_like(rows)
    finite = library.functions.uploader_kernels_round_half(
        library.number, rows.ctypes.data, out.ctypes.data, rows.size
    )
    return out, bool(finite)
