"""A model as mlx-lm has it: names, shapes, and what may be quantised. No mlx."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploader_lora import tensor_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A tensor of the MLX model in 16 bits.

    Attributes:
        name: In mlx-lm.
        dtype: Of the file, as safetensors spells it.
        shape: Shape.
        sources: Tensors of the checkpoint that it is made of, one after the other if not computed.
        computed: Whether mlx computes it; :func:`compute` has it do so.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    sources: tuple[str, ...]
    computed: bool

    @property
    def nbytes(self) -> int:
        """Bytes in 16 bits."""
        return tensor_bytes(self.dtype, self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantisable:
    """A module whose weight may be quantised.

    Attributes:
        path: Of the module.
        shape: Of its weight.
        asked: What the architecture's own rule says for it: whether it is quantised, or how.
    """

    path: str
    shape: tuple[int, ...]
    asked: bool | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sanitised:
    """A checkpoint in mlx-lm.

    Attributes:
        config: ``config.json`` for mlx-lm, without quantisation.
        outputs: In mlx-lm's order.
        quantisable: In mlx-lm's order.
        dropped: Tensors of the checkpoint that mlx-lm has no use for.
        layers: How many layers it counts.
        vision: Whether it has a tower for images.
    """

    config: Mapping[str, Any]
    outputs: tuple[Output, ...]
    quantisable: tuple[Quantisable, ...]
    dropped: tuple[str, ...]
    layers: int
    vision: bool

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return sum(math.prod(output.shape) for output in self.outputs)
