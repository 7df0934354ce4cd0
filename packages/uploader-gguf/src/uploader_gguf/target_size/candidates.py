"""Which types a tensor can be chosen to have. Light."""

from __future__ import annotations

import re

from uploader_gguf.format.block_fit import fallback, fitting
from uploader_gguf.format.mixture import Overrides
from uploader_gguf.format.quants import TensorType
from uploader_gguf.format.shapes import TensorShape
from uploader_gguf.format.tensor_roles import category

_T = TensorType
_SHORT_BLOCKS = (_T.Q4_0, _T.Q5_0, _T.Q8_0, _T.F16)
"""Where rows do not divide by 256: types that store a weight of zero as zero."""
_SHORT_WITH_MATRIX = (_T.IQ4_NL, _T.Q4_1, _T.Q5_1)
"""Types without a zero, for the same rows.

Trained models have a few inputs that are hundreds of times larger than the others, and next to no
weight on them. What these types make of that weight outweighs all that they do better elsewhere
(SmolLM2: a divergence of 1.2 with Q5_1 where the coarser Q5_0 gives 0.1), and only an importance
matrix shows it.
"""
_LONG_BLOCKS = (_T.Q2_K, _T.Q3_K, _T.IQ4_XS, _T.Q4_K, _T.Q5_K, _T.Q6_K, _T.Q8_0, _T.F16)
_LONG_WITH_MATRIX = (_T.IQ2_S, _T.IQ3_XXS)
"""Few bits, for which llama.cpp asks for an importance matrix."""


def kinds_of(
    tensor: TensorShape, overrides: Overrides, *, tied: bool, matrix: bool
) -> tuple[TensorType, ...]:
    """Return the types that a tensor can be chosen to have; its wish alone where there is one.

    Args:
        tensor: One that ``llama-quantize`` would touch.
        overrides: The user's wishes.
        tied: Whether the token embeddings are the output matrix, too.
        matrix: Whether an importance matrix has an entry for the tensor.
    """
    wanted = _wanted(tensor, overrides, tied=tied)
    if wanted is not None:
        return (wanted,)
    row = tensor.shape[-1]
    if row % _T.Q8_0.block:
        return (_T.F16,)
    if row % _T.Q4_K.block:
        return (*_SHORT_WITH_MATRIX, *_SHORT_BLOCKS) if matrix else _SHORT_BLOCKS
    return (*_LONG_WITH_MATRIX, *_LONG_BLOCKS) if matrix else _LONG_BLOCKS


def _wanted(tensor: TensorShape, overrides: Overrides, *, tied: bool) -> TensorType | None:
    """Return what the user wants of this tensor, as ``llama-quantize`` orders the wishes."""
    role = category(tensor.name)
    if overrides.embedding is not None and role == "embedding":
        return fitting(tensor, overrides.embedding)
    if overrides.output is not None and role == "output":
        return fitting(tensor, overrides.output)
    for pattern, kind in overrides.patterns:
        if re.search(pattern, tensor.name):
            return fallback(tensor, kind)
    if overrides.output is not None and tied and role == "embedding":
        return fallback(tensor, overrides.output)
    return None
