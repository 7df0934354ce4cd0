"""Call the kernels of compressed-tensors on memory that any library owns: addresses, not arrays."""

from __future__ import annotations

from uploader_kernels.library import Library
from uploader_kernels.merge.sums import STORED


def compress(
    library: Library,
    stored: tuple[int, str],
    shape: tuple[int, int],
    group: int,
    codes: int,
    scales: int,
    *,
    floating: bool,
    bits: int = 8,
    offset: int = 0,
) -> bool:
    """Store codes and scales of rows, with the roundings of compressed-tensors.

    Other threads run meanwhile.

    Args:
        library: What :func:`uploader_kernels.load` returned.
        stored: Address and type of the weights.
        shape: Rows and columns. Every address is that of contiguous memory.
        group: Columns that share a scale; they divide the columns.
        codes: Address of a byte for each weight, or for each two of 4 bits.
        scales: Address of a value of the type of the weights for each group.
        floating: FP8, and not whole numbers.
        bits: Of a whole number, 4 or 8.
        offset: Is added to whole numbers.

    Returns:
        Whether all weights are finite; what was stored is of no use otherwise.
    """
    top = 448.0 if floating else (2**bits - 1) / 2
    return bool(
        library.functions.uploader_kernels_compress(
            library.number,
            STORED[stored[1]],
            stored[0],
            *shape,
            group,
            int(floating),
            bits,
            offset,
            top,
            codes,
            scales,
        )
    )


def small_floats(
    library: Library,
    stored: tuple[int, str],
    groups: int,
    group: int,
    divisors: int,
    codes: int,
    *,
    rounded: bool,
) -> None:
    """Store FP4 codes of groups of weights, two in a byte, the first in the low half.

    Other threads run meanwhile.

    Args:
        library: What :func:`uploader_kernels.load` returned.
        stored: Address and type of the weights. Every address is that of contiguous memory.
        groups: How many there are.
        group: Weights of each: 16 or 32.
        divisors: Address of a float32 for each group.
        codes: Address of a byte for each two weights.
        rounded: Whether quotients are rounded to the type of the weights first.
    """
    library.functions.uploader_kernels_small(
        library.number, STORED[stored[1]], stored[0], groups, group, divisors, int(rounded), codes
    )
