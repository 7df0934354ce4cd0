"""One alpha and one rank in place of many, and which adapters that is possible for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from uploader_lora import StoredTensor
from uploader_lora.adapter import Adapter

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class OneScale:
    """What takes the place of ranks and alphas by module.

    Attributes:
        rank: Of every pair; None where each keeps its own.
        alpha: Numerator of the one scale ``alpha / rank``.
        factors: What B of each update is multiplied with, in the adapter's order.
    """

    rank: int | None
    alpha: float
    factors: tuple[float, ...]

    @property
    def exact(self) -> bool:
        """Whether no value is rounded: every factor is a power of two."""
        return all(abs(math.frexp(factor)[0]) == 0.5 for factor in self.factors)


def one_scale(adapter: Adapter, *, padded: bool, least: int = 0) -> OneScale:
    """Find the alpha that fits most updates, so that their matrices stay as they are.

    Args:
        adapter: With updates.
        padded: Give all pairs the highest rank; otherwise a reader divides by the rank of each.
        least: That rank is at least this.
    """
    rank = max(least, *(update.rank for update in adapter.updates))
    wanted = [u.scale * (rank if padded else u.rank) for u in adapter.updates]
    # An alpha of 0 means a scale of 1 to llama.cpp.
    alpha = Counter(wanted).most_common(1)[0][0] or 1.0
    return OneScale(
        rank=rank if padded else None,
        alpha=alpha,
        factors=tuple(own / alpha for own in wanted),
    )


def rescaled(adapter: Adapter, scale: OneScale) -> dict[str, torch.Tensor]:
    """Return the matrices of an adapter for one scale, by the names that PEFT gives them.

    A is of shape (rank, in), B (out, rank). A factor of a power of two keeps the type of B; with
    another one B is float32. What a rank is padded with is zero.
    """
    import torch
    from safetensors import safe_open

    found = {}
    for update, factor in zip(adapter.updates, scale.factors, strict=True):
        with safe_open(update.a.file, "pt") as handle:
            a = handle.get_tensor(update.a.name)
        with safe_open(update.b.file, "pt") as handle:
            b = handle.get_tensor(update.b.name)
        if factor != 1.0:
            folded = b.to(torch.float64) * factor
            same = folded.to(b.dtype)
            b = same if torch.equal(same.to(torch.float64), folded) else folded.to(torch.float32)
        if scale.rank is not None and update.rank < scale.rank:
            more = scale.rank - update.rank
            a = torch.cat([a, a.new_zeros(more, *a.shape[1:])])
            b = torch.cat([b, b.new_zeros(b.shape[0], more, *b.shape[2:])], dim=1)
        kinds = ("lora_embedding_A", "lora_embedding_B")
        if update.form == "matrix":
            kinds = ("lora_A.weight", "lora_B.weight")
        for kind, tensor in zip(kinds, (a, b), strict=True):
            found[f"base_model.model.{update.module}.{kind}"] = tensor.contiguous()
    return found


def without_plain_form(adapter: Adapter) -> Iterator[str]:
    """Name what of an adapter is no pair of low-rank matrices with a scale."""
    config = adapter.config
    if config.use_dora:
        yield "DoRA's magnitudes"
    if adapter.replacements:
        yield f"whole tensors ({adapter.replacements[0].module})"
    if adapter.token_rows:
        yield f"trained tokens ({adapter.token_rows[0].module})"
    if not all(map(_is_zero, biases_of(adapter))):
        yield "biases of B (lora_bias)"
    if config.layer_replication is not None:
        yield "replicated layers"
    if config.initialisation is not None:
        yield f"an adapter whose training changed the base ({config.initialisation})"
    if any(u.experts > 1 or u.parameter != "weight" for u in adapter.updates):
        yield "changes of fused experts (target_parameters)"


def biases_of(adapter: Adapter) -> tuple[StoredTensor, ...]:
    """Return the biases of B; they have no place in a plain adapter, and need none when zero."""
    return tuple(update.bias for update in adapter.updates if update.bias is not None)


def _is_zero(tensor: StoredTensor) -> bool:
    with tensor.file.open("rb") as handle:
        handle.seek(tensor.offset)
        return not any(handle.read(tensor.nbytes))
