"""What a PEFT adapter does to which module: where every tensor of it is, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uploader_core.plugin import StoredTensor
from uploader_lora.config import AdapterConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class LoraUpdate:
    """A low-rank change of one module: ``scale * B @ A``.

    Attributes:
        module: Path of the module in the model (``model.layers.0.self_attn.q_proj``).
        parameter: Which of its parameters: ``weight``, or with ``target_parameters`` another one
            (``gate_up_proj`` of fused experts).
        form: ``matrix`` for linear and convolution layers and for parameters, ``embedding`` for
            the transposed form of embeddings.
        a: Shape (rank, in), embeddings (rank, rows), convolutions (rank, in, *kernel).
        b: Shape (out, rank), embeddings (width, rank), convolutions (out, rank, 1, ...).
        bias: Bias of B, shape (out,), with ``lora_bias``.
        magnitude: DoRA's magnitudes, with ``use_dora``.
        rank: Of the module, by ``rank_pattern``.
        scale: ``alpha / rank`` or ``alpha / sqrt(rank)``, by ``alpha_pattern``.
        experts: Matrices that are stacked in ``a`` and ``b``; 1 but for fused experts.
    """

    module: str
    parameter: str
    form: Literal["matrix", "embedding"]
    a: StoredTensor
    b: StoredTensor
    bias: StoredTensor | None
    magnitude: StoredTensor | None
    rank: int
    scale: float
    experts: int

    @property
    def tensors(self) -> tuple[StoredTensor, ...]:
        """Every stored tensor of the update."""
        return tuple(t for t in (self.a, self.b, self.bias, self.magnitude) if t is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class FullTensor:
    """A tensor that takes the place of the base's.

    Attributes:
        module: Path of the module in the model.
        parameter: Name within the module (``weight``, ``bias``).
        tensor: Where it is.
        reason: ``modules_to_save``, ``bias``, ``embedding`` (saved whole because the vocabulary
            was resized) or ``base_layer`` (the base's tensor under a change, as it was in
            training).
    """

    module: str
    parameter: str
    tensor: StoredTensor
    reason: Literal["modules_to_save", "bias", "embedding", "base_layer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRows:
    """Rows of an embedding that were trained (``trainable_token_indices``).

    Attributes:
        module: Path of the embedding.
        rows: Row numbers, in the order of the tensor.
        tensor: Shape (rows, width). In spite of its name (``..._delta``) it holds the new rows
            themselves.
    """

    module: str
    rows: tuple[int, ...]
    tensor: StoredTensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A PEFT adapter.

    Attributes:
        folder: Where it is.
        config: Its flags.
        updates: Low-rank changes, in the order of the file.
        replacements: Full tensors.
        token_rows: Trained rows of embeddings.
        unused: Copies that PEFT saves beside what counts: the frozen original of a module that is
            stored whole, and repetitions of it.
        tensors: Every tensor of the file by its key.
        weight: How often the low-rank changes count in a stack of adapters; the scales of
            ``updates`` have it already.
        unstored: Entries of ``modules_to_save`` of which the file holds nothing. That is right
            where the model has no such module: PEFT lists two heads for each classifier, and a
            model has one of them.
        unwrapped: What was taken off the names of the file (``_orig_mod. of torch.compile``).
    """

    folder: Path
    config: AdapterConfig
    updates: tuple[LoraUpdate, ...]
    replacements: tuple[FullTensor, ...]
    token_rows: tuple[TokenRows, ...]
    unused: tuple[StoredTensor, ...]
    tensors: Mapping[str, StoredTensor]
    weight: float = 1.0
    unstored: tuple[str, ...] = ()
    unwrapped: tuple[str, ...] = ()
