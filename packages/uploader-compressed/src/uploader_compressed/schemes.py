"""The schemes, as compressed-tensors' presets have them. No torch.

What they store is written down here once: for a matrix of (rows, columns), codes and scales with
type and shape. :mod:`uploader_compressed.encode` makes the values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from uploader_core.plugin import Json
from uploader_lora import tensor_bytes

BLOCK = 128
"""Rows and columns of a block of ``fp8-block``, as the presets and DeepSeek's models have them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A tensor that stands for a quantised weight, alone or with others.

    Attributes:
        ending: Of its name, behind the module's.
        dtype: Type, as safetensors spells it.
        shape: Shape.
    """

    ending: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return tensor_bytes(self.dtype, self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """A way to quantise.

    Attributes:
        name: Of the kind, as the user types it.
        title: What people call it.
        form: compressed-tensors' name of how it is stored.
        bits: Of a weight.
        floating: Whether codes are small floats, and not whole numbers.
        strategy: Which weights share a scale: ``channel``, ``group``, ``tensor_group``, ``block``.
        group: Columns that share a scale; 0 for a whole row.
        scale: Type of the scales, None for that of the weights.
        activations: How a server quantises inputs, None where they stay in 16 bits.
        calibrated: Whether codes fit what the model computes on real text.
    """

    name: str
    title: str
    form: str
    bits: int
    floating: bool
    strategy: str
    group: int = 0
    scale: str | None = None
    activations: Mapping[str, Json] | None = None
    calibrated: bool = False

    @property
    def packed(self) -> bool:
        """Whether several codes share a number."""
        return "pack" in self.form

    def parts(self, dtype: str, shape: tuple[int, int]) -> tuple[Part, ...]:
        """Return what a matrix becomes: codes first.

        Args:
            dtype: Of the matrix, as safetensors spells it.
            shape: Rows and columns; columns are whole groups.
        """
        rows, columns = shape
        if self.form == "pack-quantized":
            codes = Part(
                ending="weight_packed", dtype="I32", shape=(rows, columns * self.bits // 32)
            )
        elif self.packed:
            codes = Part(ending="weight_packed", dtype="U8", shape=(rows, columns // 2))
        else:
            codes = Part(ending="weight", dtype="F8_E4M3" if self.floating else "I8", shape=shape)
        scales = Part(
            ending="weight_scale", dtype=_STORED.get(self.name, dtype), shape=self.scales(shape)
        )
        if self.form == "pack-quantized":
            return codes, scales, Part(ending="weight_shape", dtype="I64", shape=(2,))
        if self.strategy == "tensor_group":
            return codes, scales, Part(ending="weight_global_scale", dtype="F32", shape=(1,))
        return codes, scales

    def scales(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return rows and columns of the scales of a matrix."""
        rows, columns = shape
        if self.strategy == "block":
            return math.ceil(rows / BLOCK), math.ceil(columns / BLOCK)
        return rows, columns // self.group if self.group else 1

    def fits(self, shape: tuple[int, int]) -> bool:
        """Return whether the columns of a matrix are whole groups."""
        return not self.group or shape[1] % self.group == 0

    def config(self, ignore: list[str]) -> dict[str, Json]:
        """Return ``quantization_config``, in the words that every reader knows.

        Keys that say nothing are left out: older readers refuse those that they do not know.

        Args:
            ignore: Names of modules and ``re:`` patterns that are not quantised.
        """
        weights: dict[str, Json] = {
            "num_bits": self.bits,
            "type": "float" if self.floating else "int",
            "symmetric": True,
            "strategy": self.strategy,
            "dynamic": False,
        }
        if self.group:
            weights["group_size"] = self.group
        if self.strategy == "block":
            weights["block_structure"] = [BLOCK, BLOCK]
        if self.scale is not None:
            weights["scale_dtype"] = self.scale
        group: dict[str, Json] = {
            "targets": ["Linear"],
            "weights": weights,
            "input_activations": None if self.activations is None else dict(self.activations),
            "output_activations": None,
            "format": self.form,
        }
        return {
            "quant_method": "compressed-tensors",
            "format": self.form,
            "quantization_status": "compressed",
            "config_groups": {"group_0": group},
            "ignore": list(ignore),
            "kv_cache_scheme": None,
            "global_compression_ratio": None,
        }


_STORED = {"nvfp4a16": "F8_E4M3", "mxfp4": "U8"}


def _inputs(bits: int, kind: str, strategy: str, **more: Json) -> dict[str, Json]:
    return {
        "num_bits": bits,
        "type": kind,
        "symmetric": True,
        "strategy": strategy,
        "dynamic": True,
        **more,
    }


_PLAIN = {
    scheme.name: scheme
    for scheme in (
        Scheme(
            name="fp8-dynamic",
            title="FP8",
            form="float-quantized",
            bits=8,
            floating=True,
            strategy="channel",
            activations=_inputs(8, "float", "token"),
        ),
        Scheme(
            name="fp8-block",
            title="FP8 in blocks",
            form="float-quantized",
            bits=8,
            floating=True,
            strategy="block",
            activations=_inputs(8, "float", "group", group_size=128),
        ),
        Scheme(
            name="w8a8",
            title="INT8",
            form="int-quantized",
            bits=8,
            floating=False,
            strategy="channel",
            activations=_inputs(8, "int", "token"),
        ),
        Scheme(
            name="w4a16",
            title="INT4 weights",
            form="pack-quantized",
            bits=4,
            floating=False,
            strategy="group",
            group=128,
        ),
        Scheme(
            name="w8a16",
            title="INT8 weights",
            form="pack-quantized",
            bits=8,
            floating=False,
            strategy="group",
            group=128,
        ),
        Scheme(
            name="nvfp4a16",
            title="NVFP4 weights",
            form="nvfp4-pack-quantized",
            bits=4,
            floating=True,
            strategy="tensor_group",
            group=16,
            scale="torch.float8_e4m3fn",
        ),
        Scheme(
            name="mxfp4",
            title="MXFP4",
            form="mxfp4-pack-quantized",
            bits=4,
            floating=True,
            strategy="group",
            group=32,
            scale="torch.uint8",
            activations=_inputs(4, "float", "group", group_size=32, scale_dtype="torch.uint8"),
        ),
    )
}
SCHEMES = {
    **_PLAIN,
    **{
        f"{name}-gptq": replace(
            _PLAIN[name],
            name=f"{name}-gptq",
            title=f"{_PLAIN[name].title}, calibrated",
            calibrated=True,
        )
        for name in ("w4a16", "w8a8")
    },
}
"""By name."""

DATA_FREE = tuple(_PLAIN)
"""Names of those that need no text."""

GROUPS = (128, 64, 32)
"""Columns that may share a scale of INT weights; what vLLM's kernels take."""


def scheme_of(name: str, group: int = GROUPS[0]) -> Scheme:
    """Return a scheme.

    Args:
        name: Of a kind.
        group: Columns that share a scale, for those schemes that leave it open.
    """
    found = SCHEMES[name]
    return replace(found, group=group) if found.form == "pack-quantized" else found
