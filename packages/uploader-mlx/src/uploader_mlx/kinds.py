"""How mlx quantises: the kinds that are released, and what each stores. No mlx."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from uploader_core.plugin import Json
from uploader_lora import tensor_bytes

GROUPS = (64, 32, 128)
"""Columns that may share scale and bias of whole numbers; mlx-lm's own choice first."""

SIXTEEN = "16bit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A tensor of the file.

    Attributes:
        name: Its name.
        dtype: Type, as safetensors spells it.
        shape: Shape.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return tensor_bytes(self.dtype, self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantisation:
    """How one matrix is quantised.

    Attributes:
        mode: mlx's word: ``affine`` for whole numbers with scale and bias, or one of small floats.
        bits: Of a weight.
        group: Columns that share a scale.
    """

    mode: str
    bits: int
    group: int

    @property
    def has_biases(self) -> bool:
        """Whether a group has a bias."""
        return self.mode == "affine"

    def fits(self, columns: int) -> bool:
        """Return whether so many columns are whole groups."""
        return columns % self.group == 0

    def parts(self, module: str, dtype: str, shape: tuple[int, ...]) -> tuple[Part, ...]:
        """Return what the weight of a module becomes, codes first.

        Args:
            module: Path.
            dtype: Of the weight.
            shape: Of the weight; its last axis is whole groups.
        """
        *outer, columns = shape
        scales = (*outer, columns // self.group)
        codes = Part(
            name=f"{module}.weight", dtype="U32", shape=(*outer, columns * self.bits // 32)
        )
        kind = dtype if self.has_biases else "U8"
        found = [codes, Part(name=f"{module}.scales", dtype=kind, shape=scales)]
        if self.has_biases:
            found.append(Part(name=f"{module}.biases", dtype=kind, shape=scales))
        return tuple(found)

    def config(self) -> dict[str, Json]:
        """Return what ``config.json`` says of it."""
        return {"group_size": self.group, "bits": self.bits, "mode": self.mode}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Quantisation:
        """Read what a configuration, or an architecture's own rule, says.

        Raises:
            ValueError: It names no mode of mlx.
        """
        mode = str(said.get("mode") or "affine")
        if mode not in _DEFAULTS:
            raise ValueError(f"{mode!r} is no mode of quantisation")
        default = _DEFAULTS[mode]
        return cls(
            mode=mode,
            bits=int(said.get("bits") or default.bits),
            group=int(said.get("group_size") or default.group),
        )


_DEFAULTS = {
    "affine": Quantisation(mode="affine", bits=4, group=GROUPS[0]),
    "mxfp4": Quantisation(mode="mxfp4", bits=4, group=32),
    "mxfp8": Quantisation(mode="mxfp8", bits=8, group=32),
    "nvfp4": Quantisation(mode="nvfp4", bits=4, group=16),
}
"""``defaults_for_mode`` of mlx_lm/utils.py."""

_PLAIN = {
    **{
        f"{bits}bit": Quantisation(mode="affine", bits=bits, group=GROUPS[0])
        for bits in (2, 3, 4, 5, 6, 8)
    },
    **{name: how for name, how in _DEFAULTS.items() if name != "affine"},
}
_MIXED = {"mixed-2-6": (2, 6), "mixed-3-4": (3, 4), "mixed-3-6": (3, 6), "mixed-4-6": (4, 6)}

KINDS = (*_PLAIN, *_MIXED)
"""Names, as the user types them; mlx-lm spells the last ones ``mixed_2_6`` and so on."""


def plain(name: str, group: int) -> Quantisation | None:
    """Return how a kind quantises all matrices alike; None for ``16bit``.

    Args:
        name: Of a kind that is no recipe, or ``16bit``.
        group: Columns that share a scale, for whole numbers.
    """
    if name == SIXTEEN:
        return None
    found = _PLAIN[name]
    return replace(found, group=group) if found.has_biases else found


def default(name: str, group: int) -> Quantisation:
    """Return what ``config.json`` names for the whole model: mlx-lm's default beside a recipe."""
    found = None if name in _MIXED else plain(name, group)
    return found or replace(_DEFAULTS["affine"], group=group)


def title(name: str) -> str:
    """Return what people call a kind."""
    if name in _MIXED:
        low, high = _MIXED[name]
        return f"{low} and {high} bit mixed"
    return name.replace("bit", " bit") if name.endswith("bit") else name.upper()


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """mlx-lm's mixture of two widths: ``mixed_quant_predicate_builder`` of mlx_lm/convert.py.

    Attributes:
        low: Bits of most matrices.
        high: Bits of the head, and of values and down projections of some layers.
        group: Columns that share a scale.
        layers: How many there are.
        place: Which segment of a path is the number of the layer.
    """

    low: int
    high: int
    group: int
    layers: int
    place: int

    def of(self, path: str) -> Quantisation:
        """Return how a module is quantised."""
        segments = path.split(".")
        index = int(segments[self.place]) if len(segments) > self.place else 0
        eighth = self.layers // 8
        more = index < eighth or index >= 7 * self.layers // 8 or (index - eighth) % 3 == 2
        wide = "lm_head" in path or (more and any(name in path for name in _WIDE))
        bits = self.high if wide else self.low
        return Quantisation(mode="affine", bits=bits, group=self.group)


_WIDE = ("v_proj", "v_a_proj", "v_b_proj", "down_proj")


def recipe(name: str, group: int, layers: int, paths: tuple[str, ...]) -> Recipe | None:
    """Return the recipe of a kind; None where it has none.

    Args:
        name: Of a kind.
        group: Columns that share a scale.
        layers: How many layers mlx-lm counts.
        paths: Of all modules that may be quantised.

    Raises:
        ValueError: No module has a name that the recipe goes by.
    """
    if name not in _MIXED:
        return None
    down = next((path.split(".") for path in paths if "down_proj" in path), None)
    if down is None:
        raise ValueError("no module is a down_proj, which mlx-lm's recipe goes by")
    numbers = [n for n, segment in enumerate(down) if segment.isdigit()]
    low, high = _MIXED[name]
    place = numbers[0] if numbers else len(down) - 1
    return Recipe(low=low, high=high, group=group, layers=layers, place=place)


def overridden(text: str) -> tuple[re.Pattern[str], str]:
    """Read ``REGEX=KIND``.

    Raises:
        ValueError: It is none.
    """
    pattern, equals, kind = text.rpartition("=")
    if not equals or kind not in (*_PLAIN, SIXTEEN):
        raise ValueError(f"is not REGEX=KIND with one of {', '.join((*_PLAIN, SIXTEEN))}")
    try:
        return re.compile(pattern), kind
    except re.error as error:
        raise ValueError(f"has no regular expression before =: {error}") from error
