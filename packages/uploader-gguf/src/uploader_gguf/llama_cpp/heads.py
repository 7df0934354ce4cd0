"""Heads that a GGUF has no place for: an output of its own, where llama.cpp shares one matrix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from uploader_core.plugin import Finding, RefusedError
from uploader_gguf.llama_cpp.toolchain import architecture_of
from uploader_gguf.llama_cpp.weights import Weights

if TYPE_CHECKING:
    from uploader_gguf.llama_cpp.converter import Conversion

# llama.cpp's converter drops the head of these, and llama.cpp computes with the embedding.
ONE_MATRIX = ("GemmaForCausalLM", "Gemma2ForCausalLM")
_OUTPUT = "output.weight"


def one_matrix(weights: Weights) -> Iterator[Finding]:
    """Refuse a head of its own where it is known that llama.cpp has no place for one."""
    name = architecture_of(weights.config)
    if name in ONE_MATRIX and weights.own_head is not None:
        yield Finding(level="error", what=_lost(weights.own_head, name), next=_NEXT)


def refuse_lost_head(weights: Weights, conversion: Conversion) -> None:
    """Refuse a conversion that leaves an output head behind.

    Raises:
        RefusedError: The model has a head with values of its own, and the GGUF would not.
    """
    if weights.own_head is None or any(t.name == _OUTPUT for t in conversion.tensors):
        return
    raise RefusedError(
        _lost(weights.own_head, conversion.model.architecture),
        owner="llama.cpp's converter",
        safe="nothing was written",
        next=_NEXT,
    )


_NEXT = "leave gguf out of --plugins, or train with ensure_weight_tying=True"


def _lost(head: str, architecture: str | None) -> str:
    return (
        f"the model has an output head of its own ({head} differs from the input embedding), and "
        f"llama.cpp uses one matrix for both in {architecture}: a GGUF would answer otherwise"
    )
