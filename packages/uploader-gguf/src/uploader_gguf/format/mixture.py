"""Which tensor of a model gets which type: llama.cpp's rules, line for line.

A port of ``llama_tensor_get_type`` and ``llama_tensor_get_type_impl`` of ``src/llama-quant.cpp``
(llama.cpp b10605). The order of the branches is the source's and carries meaning; the tests compare
the result with llama.cpp's own quantiser. Pure Python, so that a plan can count bytes without
loading anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from uploader_core.plugin import RefusedError
from uploader_gguf.format.block_fit import fallback, fitting
from uploader_gguf.format.quants import Quant
from uploader_gguf.format.quants import TensorType as T
from uploader_gguf.format.shapes import ModelShape, TensorShape
from uploader_gguf.format.tensor_roles import (
    VALUES,
    allows_quantization,
    category,
    quantizer_order,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Overrides:
    """What the user wants otherwise.

    Attributes:
        output: Type of ``output.weight`` (and of tied embeddings).
        embedding: Type of the token embeddings.
        patterns: Regular expressions searched in tensor names, first match wins.
    """

    output: T | None = None
    embedding: T | None = None
    patterns: tuple[tuple[str, T], ...] = ()


_LOW_BITS = ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ2_S", "IQ2_M", "IQ1_M")


def select_types(
    quant: Quant,
    tensors: Mapping[str, TensorShape],
    model: ModelShape,
    *,
    imatrix: bool = False,
    overrides: Overrides | None = None,
) -> dict[str, T]:
    """Choose the type of every tensor, as ``llama-quantize`` does for an F16 file.

    Args:
        quant: The type of file.
        tensors: The tensors of the F16 file by name.
        model: The model's shape.
        imatrix: Whether an importance matrix is given; it changes some choices.
        overrides: The user's wishes.

    Raises:
        RefusedError: A row fits no block, and llama.cpp knows no type to fall back to.
    """
    rules = _Rules(quant, tensors, model, imatrix, overrides or Overrides())
    return {name: rules.type_of(tensors[name]) for name in quantizer_order(tensors)}


class _Rules:
    """``quantize_state_impl``: counters that the rules advance from tensor to tensor."""

    def __init__(
        self,
        quant: Quant,
        tensors: Mapping[str, TensorShape],
        model: ModelShape,
        imatrix: bool,
        overrides: Overrides,
    ) -> None:
        self.quant, self.model, self.imatrix, self.overrides = quant, model, imatrix, overrides
        self.tied = "output.weight" not in tensors
        self.n_values = sum(category(name) in VALUES for name in tensors)
        self.i_values = 0
        self.i_ffn = {"down": 0, "gate": 0, "up": 0}
        self.patterns = [(re.compile(text), kind) for text, kind in overrides.patterns]

    def type_of(self, tensor: TensorShape) -> T:
        role = category(tensor.name)
        if not allows_quantization(tensor):
            return tensor.stored
        if self.overrides.embedding is not None and role == "embedding":
            return fitting(tensor, self.overrides.embedding)
        if self.overrides.output is not None and role == "output":
            return fitting(tensor, self.overrides.output)
        if not self.quant.default.is_quantized:
            return self.quant.default
        for pattern, kind in self.patterns:
            if pattern.search(tensor.name):
                return fallback(tensor, kind)
        return fallback(tensor, self._mixture(tensor, role))

    def _mixture(self, tensor: TensorShape, role: str) -> T:
        """``llama_tensor_get_type_impl``."""
        ftype, new = self.quant.name, self.quant.default
        if role == "output" or (self.tied and role == "embedding"):
            return self._output(tensor)
        if ftype == "MXFP4_MOE":
            ours = self.model.architecture != "bailingmoe3" or role in ("up", "gate", "down")
            return T.MXFP4 if len(tensor.shape) > 2 and tensor.shape[-3] > 1 and ours else T.Q8_0
        if role == "embedding":
            return self._embedding()
        if ftype in _LOW_BITS:
            return self._low_bits(role)
        if role in VALUES:
            new = self._values()
            self.i_values += 1
        elif role in ("k", "q"):
            if role == "k" and self.model.experts == 8:
                new = T.Q8_0
            elif ftype == "IQ3_XS":
                new = T.IQ3_XXS
            elif ftype == "IQ3_XXS":
                new = T.IQ2_S
        elif role == "down":
            new = self._down(*self._layer("down", tensor.name))
        elif role == "o":
            new = self._attention_output()
        elif role in ("gate", "up"):
            layer, layers = self._layer(role, tensor.name)
            if ftype == "IQ3_XS" and layers // 8 <= layer < 7 * layers // 8:
                new = T.IQ3_XXS
        return new

    def _layer(self, role: str, name: str) -> tuple[int, int]:
        """Return (layer, layers) of a feed-forward tensor, and count it.

        Experts are not stored layer by layer in every model, so their names are read instead.
        """
        index = self.i_ffn[role]
        self.i_ffn[role] += 1
        if self.model.experts > 1:
            block = re.match(r"blk\.(\d+)\.", name)
            if block is None or int(block[1]) >= self.model.layers:
                raise RefusedError(
                    f"cannot tell the layer of {name} in a model of {self.model.layers} layers",
                    owner="the converted model",
                )
            index = int(block[1])
        return index, self.model.layers

    def _output(self, tensor: TensorShape) -> T:
        # Tied models: the embeddings are the output matrix and get its type.
        new = self.quant.default
        if self.overrides.output is not None:
            return self.overrides.output
        if (
            self.quant.name == "MXFP4_MOE"
            or self.model.architecture == "falcon"
            or tensor.shape[-1] % new.block
        ):
            return T.Q8_0
        if self.quant.name in (*_LOW_BITS, "IQ3_XXS"):
            return T.Q5_K
        return new if new is T.Q8_0 else T.Q6_K

    def _embedding(self) -> T:
        ftype = self.quant.name
        if ftype in ("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
            return T.Q2_K
        if ftype in ("IQ2_S", "IQ2_M", "IQ3_XXS"):
            return T.IQ3_S
        if ftype in ("TQ1_0", "TQ2_0"):
            return T.Q4_K
        return self.quant.default

    def _low_bits(self, role: str) -> T:
        ftype, new = self.quant.name, self.quant.default
        finer = ftype in ("IQ2_S", "IQ2_M")
        if role in VALUES:
            if self.model.gqa >= 4 or self.model.experts >= 4:
                new = T.Q4_K
            else:
                new = T.IQ3_S if finer else T.Q2_K
            self.i_values += 1
        elif self.model.experts == 8 and role == "k":
            new = T.Q4_K
        elif role == "down":
            # Counted, not read from the name, even for experts: so does llama.cpp here.
            if self.i_ffn["down"] < self.model.layers // 8:
                new = T.IQ3_S if finer else T.Q2_K
            self.i_ffn["down"] += 1
        elif role == "o":
            if self.model.experts == 8:
                new = T.Q5_K
            elif ftype in ("IQ1_S", "IQ1_M"):
                new = T.IQ2_XXS
            elif finer:
                new = T.IQ3_S
        return new

    def _values(self) -> T:
        ftype, new, gqa = self.quant.name, self.quant.default, self.model.gqa
        if ftype == "Q2_K":
            new = T.Q4_K if gqa >= 4 else T.Q3_K
        elif ftype == "Q2_K_S" and gqa >= 4:
            new = T.Q4_K
        elif ftype == "IQ3_XXS":
            new = T.Q4_K if gqa >= 4 else (T.IQ3_XXS if self.imatrix else T.IQ3_S)
        elif (ftype in ("IQ3_XS", "IQ3_S") and gqa >= 4) or ftype == "IQ3_M":
            new = T.Q4_K
        elif ftype == "Q3_K_M":
            new = T.Q5_K if self.i_values < 2 else T.Q4_K
        elif ftype == "Q3_K_L" or (ftype in ("IQ4_NL", "IQ4_XS") and gqa >= 4):
            new = T.Q5_K
        elif ftype in ("Q4_K_M", "Q5_K_M") and more_bits(self.i_values, self.n_values):
            new = T.Q6_K
        elif ftype == "Q4_K_S" and self.i_values < 4:
            new = T.Q5_K
        if self.model.is_70b and new in (T.Q3_K, T.Q4_K):
            new = T.Q5_K
        return T.Q8_0 if self.model.experts == 8 else new

    def _down(self, layer: int, layers: int) -> T:
        ftype, new = self.quant.name, self.quant.default
        falcon = self.model.architecture == "falcon"
        if ftype == "Q2_K":
            return T.Q3_K
        if ftype == "Q2_K_S":
            return T.Q4_K if layer < layers // 8 else new
        if ftype == "IQ3_XXS" and not self.imatrix:
            return T.Q4_K if layer < layers // 8 else T.Q3_K
        if ftype == "Q3_K_M":
            if layer < layers // 16:
                return T.Q5_K
            return T.Q4_K if not falcon or more_bits(layer, layers) else T.Q3_K
        if ftype == "IQ3_M" and (
            layer < layers // 8 or (self.model.experts == 8 and more_bits(layer, layers))
        ):
            return T.Q4_K
        if ftype == "Q3_K_L":
            return T.Q4_K if falcon else T.Q5_K
        if ftype == "Q4_K_M":
            if falcon:
                if layer < layers // 16:
                    return T.Q6_K
                return T.Q5_K if more_bits(layer, layers) else T.Q4_K
            return T.Q6_K if more_bits(layer, layers) else new
        if layer < layers // 8 and ftype in ("IQ4_NL", "IQ4_XS") and not self.imatrix:
            return T.Q5_K
        if ftype == "Q5_K_M" and more_bits(layer, layers):
            return T.Q6_K
        if ftype == "Q4_K_S" and not falcon and layer < layers // 8:
            return T.Q5_K
        if ftype in ("Q4_0", "Q5_0") and self.imatrix and layer < layers // 8:
            return T.Q4_1 if ftype == "Q4_0" else T.Q5_1
        return new

    def _attention_output(self) -> T:
        ftype, new = self.quant.name, self.quant.default
        if self.model.architecture == "falcon":
            return T.Q4_K if ftype == "Q3_K_L" else new
        if self.model.experts == 8:
            eight = ("Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M")
            return T.Q5_K if ftype in (*eight, "IQ3_S", "IQ3_M", "IQ4_XS") else new
        return {
            "Q2_K": T.Q3_K,
            "IQ3_XXS": T.IQ3_S,
            "Q3_K_M": T.Q4_K,
            "Q3_K_L": T.Q5_K,
            "IQ3_M": T.Q4_K,
        }.get(ftype, new)


def more_bits(layer: int, layers: int) -> bool:
    """``use_more_bits``: the first and last eighth, and every third layer between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
