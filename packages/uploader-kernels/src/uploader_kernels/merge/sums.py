"""Call the kernels of a merge on memory that any library owns: addresses, not arrays.

numpy has no bfloat16, and torch no reason to be imported here.
"""

from __future__ import annotations

from uploader_kernels.library import Library

STORED = {"F32": 0, "F16": 1, "BF16": 30}
"""Types of weights that the kernels read and write, as safetensors spells them and as ggml counts
them."""


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
