"""Which types a tensor can be chosen to have. Light."""

from __future__ import annotations

import re

from uploader_gguf.format.mixture import Overrides, TensorShape, category, fallback, fitting
from uploader_gguf.format.quants import TensorType

_T = TensorType
_SHORT_BLOCKS = (_T.Q4_0, _T.IQ4_NL, _T.Q5_0, _T.Q8_0, _T.F16)
"""Where rows do not divide by 256.

Not Q4_1 and Q5_1: on processors llama.cpp multiplies them with inputs whose sums it rounds to 16
bits, and the outputs of a model with a few very large inputs are then far off, however near its
weights are (SmolLM2: divergence 1.2 for Q5_1 where the coarser Q5_0 has 0.1).
"""
_LONG_BLOCKS = (_T.Q2_K, _T.Q3_K, _T.IQ4_XS, _T.Q4_K, _T.Q5_K, _T.Q6_K, _T.Q8_0, _T.F16)
_WITH_MATRIX = (_T.IQ2_S, _T.IQ3_XXS)


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
        return _SHORT_BLOCKS
    return (*_WITH_MATRIX, *_LONG_BLOCKS) if matrix else _LONG_BLOCKS


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
