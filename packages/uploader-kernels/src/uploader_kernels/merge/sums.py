"""Call the kernels of a merge on memory that any library owns: addresses, not arrays.

numpy has no bfloat16, and torch no reason to be imported here.
"""

from __future__ import annotations

from uploader_kernels.library import Library

STORED = {"F32": 0, "F16": 1, "BF16": 30}
"""Types of weights that the kernels read and write, as safetensors spells them and as ggml counts
them."""

_WIDEST = 32
"""Columns of the widest tile."""


def add_scaled(
    library: Library,
    stored: tuple[int, str],
    delta: int,
    scale: float,
    wanted: tuple[int, str],
    count: int,
) -> bool:
    """Store ``stored + delta * scale``, computed in float32 with both roundings.

    Other threads run meanwhile.

    Args:
        library: What :func:`uploader_kernels.load` returned.
        stored: Address and type of the values.
        delta: Address of as many float32.
        scale: Of them; rounded to float32.
        wanted: Address and type of the result; other memory than the rest.
        count: Values. Every address is that of contiguous memory, a multiple of the type's size.

    Returns:
        Whether all sums are finite, before and after they are rounded to the type of the result.
    """
    return bool(
        library.functions.uploader_kernels_add_scaled(
            library.number,
            STORED[stored[1]],
            stored[0],
            delta,
            scale,
            STORED[wanted[1]],
            wanted[0],
            count,
        )
    )


def add_product(
    library: Library,
    stored: tuple[int, str],
    factors: tuple[int, int],
    scale: float,
    wanted: tuple[int, str],
    shape: tuple[int, int, int],
    room: int,
) -> bool | None:
    """Store ``stored + (B @ A) * scale``, computed in float32 with both roundings.

    An element of the product is the sum over the rank from the first to the last, every term added
    with one rounding. Libraries of linear algebra sum in this order too as long as the rank is not
    large; whoever wants the bits of one compares first. Other threads run meanwhile.

    Args:
        library: What :func:`uploader_kernels.load` returned.
        stored: Address and type of the values, rows by columns.
        factors: Addresses of B, rows by rank, and A, rank by columns, both float32.
        scale: Of the product; rounded to float32.
        wanted: Address and type of the result; other memory than the rest.
        shape: Rows, rank, columns. Every address is that of contiguous memory.
        room: Address of memory that is overwritten, :func:`room_for` float32 large.

    Returns:
        Whether all sums are finite, before and after they are rounded to the type of the result;
        None if the instructions in use have no fused multiply-add, and nothing was done.
    """
    rows, rank, columns = shape
    finite = library.functions.uploader_kernels_add_product(
        library.number,
        STORED[stored[1]],
        stored[0],
        *factors,
        rows,
        rank,
        columns,
        scale,
        STORED[wanted[1]],
        wanted[0],
        room,
    )
    return None if finite < 0 else bool(finite)


def room_for(rank: int, columns: int) -> int:
    """Return how many float32 :func:`add_product` needs room for."""
    return rank * (columns + _WIDEST)
