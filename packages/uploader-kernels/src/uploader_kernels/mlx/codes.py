"""Call the kernel of mlx on memory that any library owns: addresses, not arrays."""

from __future__ import annotations

from uploader_kernels.library import Library
from uploader_kernels.merge.sums import STORED

WIDEST = 128
"""Weights of a group at most; they are whole sixteens."""


def affine(
    library: Library,
    stored: tuple[int, str],
    groups: int,
    group: int,
    bits: int,
    codes: int,
    scales: int,
    biases: int,
) -> bool:
    """Store codes, scales and biases of groups, with the bits of mlx on a processor.

    Other threads run meanwhile.

    Args:
        library: What :func:`uploader_kernels.load` returned.
        stored: Address and type of the weights. Every address is that of contiguous memory.
        groups: How many there are.
        group: Weights of each: 32, 64 or 128.
        bits: Of a code: 2, 3, 4, 5, 6 or 8.
        codes: Address of ``bits`` bits for each weight.
        scales: Address of a value of the type of the weights for each group.
        biases: The same.

    Returns:
        Whether all weights are finite; what was stored is of no use otherwise.
    """
    return bool(
        library.functions.uploader_kernels_affine(
            library.number, STORED[stored[1]], stored[0], groups, group, bits, codes, scales, biases
        )
    )
