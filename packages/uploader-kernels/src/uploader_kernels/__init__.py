"""Fast kernels for what a release computes, with the bytes of the slow ones.

:func:`load` gives the compiled library, or says why there is none. :func:`encode` quantises rows as
llama.cpp does, :func:`compress` as compressed-tensors and :func:`affine` as mlx does;
:func:`add_product` and :func:`add_scaled` are the sums of a merge. What a kernel computes stands
beside it in numpy, in :mod:`uploader_kernels.encoders`, :mod:`uploader_kernels.compressed`,
:mod:`uploader_kernels.mlx` and :mod:`uploader_kernels.merge`. Importing this imports no numpy: only
what computes does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from uploader_kernels.library import (
    KernelsError,
    Library,
    load,
    load_if_there,
    missing,
    version,
)

if TYPE_CHECKING:
    from uploader_kernels.compressed.codes import compress, small_floats
    from uploader_kernels.merge.sums import STORED, add_product, add_scaled, room_for
    from uploader_kernels.mlx.codes import affine
    from uploader_kernels.rows import TYPES, all_finite, encode, round_half

__all__ = [
    "STORED", "TYPES", "KernelsError", "Library", "add_product", "add_scaled", "affine",
    "all_finite",
    "compress", "encode", "load", "load_if_there", "missing", "room_for", "round_half",
    "small_floats", "version",
]  # fmt: skip

_OF_MERGE = ("STORED", "add_product", "add_scaled", "room_for")
_OTHERS = {
    "compress": "compressed.codes",
    "small_floats": "compressed.codes",
    "affine": "mlx.codes",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "merge.sums" if name in _OF_MERGE else _OTHERS.get(name, "rows")
    return getattr(importlib.import_module(f"uploader_kernels.{module}"), name)
