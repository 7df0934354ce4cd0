"""Types whose blocks fit the rows of a tensor (``tensor_type_fallback`` of llama.cpp b10605)."""

from __future__ import annotations

from uploader_core.plugin import RefusedError
from uploader_gguf.format.quants import TensorType as T
from uploader_gguf.format.shapes import TensorShape

_FALLBACK = {
    **dict.fromkeys(
        (T.IQ1_S, T.IQ1_M, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ4_XS), T.IQ4_NL
    ),
    **dict.fromkeys((T.Q2_K, T.Q3_K, T.TQ1_0, T.TQ2_0), T.Q4_0),
    T.Q4_K: T.Q5_0,
    T.Q5_K: T.Q5_1,
    T.Q6_K: T.Q8_0,
}


def fallback(tensor: TensorShape, kind: T) -> T:
    """Return a type whose blocks fit the tensor's rows (``tensor_type_fallback``).

    Raises:
        RefusedError: llama.cpp has no fallback for this type.
    """
    row = tensor.shape[-1]
    if row % kind.block == 0:
        return kind
    other = _FALLBACK.get(kind)
    if other is None:
        raise RefusedError(
            f"{tensor.name} has rows of {row} values, which {kind.name} cannot store in blocks of"
            f" {kind.block}, and llama.cpp has no type to fall back to",
            owner="the model's shape",
            next="choose F16 or BF16 with --gguf-quants",
        )
    return T.F16 if row % other.block else other


def fitting(tensor: TensorShape, kind: T) -> T:
    """Return a type that the user wants, or refuse it.

    Raises:
        RefusedError: Its blocks do not fit the tensor's rows.
    """
    # llama-quantize would abort in its kernel here; the user's own choice gets an error instead.
    if tensor.shape[-1] % kind.block:
        raise RefusedError(
            f"{tensor.name} has rows of {tensor.shape[-1]} values, which {kind.name} cannot store"
            f" in blocks of {kind.block}",
            owner="the type asked for",
            next="choose Q8_0 or F16 for it",
        )
    return kind
