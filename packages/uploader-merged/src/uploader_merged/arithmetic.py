"""Carry out recipes: ``W.float() + (B @ A) * scale`` in blocks of rows, cast once.

Heavy: imports torch. This form, and not ``addmm`` with alpha, gives the very bits of PEFT's own
merge in float32 at every scale.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator

import torch  # noqa: TID253 - this module computes

from uploader_core.plugin import SourceError
from uploader_lora import StoredTensor
from uploader_merged.recipes import LowRank, Recipe

DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
    "C64": torch.complex64,
}
"""torch types by safetensors names."""


BLOCK = 4 << 20
"""Elements of a tensor that are merged at once."""


def load(stored: StoredTensor) -> torch.Tensor:
    """Read a whole tensor as it is stored."""
    return load_rows(stored, 0, stored.shape[0] if stored.shape else 1).reshape(stored.shape)


def load_rows(stored: StoredTensor, start: int, stop: int) -> torch.Tensor:
    """Read rows along the first axis, as they are stored.

    Raises:
        SourceError: The type is unknown to torch, or the file is shorter than its header said.
    """
    if stored.dtype not in DTYPES:
        raise SourceError(
            f"{stored.name} has the type {stored.dtype}, which torch {torch.__version__} does not "
            "have",
            owner=str(stored.file),
            next="add --base PATH_OR_ID with a 16-bit model",
        )
    rest = stored.shape[1:]
    tensor = torch.empty((stop - start, *rest), dtype=DTYPES[stored.dtype])
    row = math.prod(rest) * tensor.element_size()
    view = memory(tensor)
    # Unbuffered, and opened for each read: no shared position, so threads need no lock.
    with stored.file.open("rb", buffering=0) as handle:
        handle.seek(stored.offset + start * row)
        position = 0
        while position < len(view):
            count = handle.readinto(view[position:])
            if not count:
                raise SourceError(
                    f"{stored.file.name} became shorter while it was read",
                    owner=str(stored.file),
                    next="run it again when nothing else writes to the file",
                )
            position += count
    return tensor


def memory(tensor: torch.Tensor) -> memoryview:
    """Return a contiguous CPU tensor's bytes, without a copy and without numpy."""
    nbytes = tensor.numel() * tensor.element_size()
    if not nbytes:
        return memoryview(bytearray())
    buffer = (ctypes.c_char * nbytes).from_address(tensor.data_ptr())
    # The view keeps the ctypes buffer, and the buffer has to keep the tensor.
    buffer._tensor = tensor  # type: ignore[attr-defined]  # ctypes takes any attribute
    return memoryview(buffer).cast("B")


class Evaluation:
    """One tensor being merged; the small matrices are read once.

    Args:
        recipe: How it is made.
        dtype: Type of the result as safetensors spells it; the storage type when None. A wider one
            is reached without the rounding of the storage type.
    """

    def __init__(self, recipe: Recipe, dtype: str | None = None) -> None:
        self._recipe = recipe
        self._steps = [_Product(step) for step in recipe.steps]
        wanted = dtype or recipe.dtype
        self._as_it_is = not recipe.touched and wanted == recipe.source.dtype
        self._dtype = None if self._as_it_is else DTYPES[wanted]

    def read(self) -> torch.Tensor:
        """Return the whole tensor."""
        if self._as_it_is or not self._recipe.shape:
            rows = self._recipe.shape[0] if self._recipe.shape else 1
            return self.rows(0, rows).reshape(self._recipe.shape)
        whole = torch.empty(self._recipe.shape, dtype=self._dtype)
        done = 0
        for block in self.blocks(BLOCK):
            whole[done : done + block.shape[0]] = block
            done += block.shape[0]
        return whole

    def blocks(self, elements: int) -> Iterator[torch.Tensor]:
        """Yield blocks of rows of at most so many elements, but at least one row."""
        shape = self._recipe.shape
        rows = shape[0] if shape else 1
        step = max(1, elements // max(1, math.prod(shape[1:])))
        for start in range(0, rows, step):
            yield self.rows(start, min(rows, start + step))

    def rows(self, start: int, stop: int) -> torch.Tensor:
        """Return merged rows."""
        stored = load_rows(self._recipe.source, start, stop)
        if self._dtype is None:
            return stored
        if not self._steps:
            return stored.to(self._dtype)
        value = stored.float()
        for step in self._steps:
            value += step.rows(start, stop)
        return value.to(self._dtype)


class _Product:
    """``(B @ A) * scale``, by rows of the weight."""

    def __init__(self, step: LowRank) -> None:
        self._a = load(step.a).float()
        self._b = load(step.b).float()
        self._scale = step.scale
        self._transposed = step.transposed

    def rows(self, start: int, stop: int) -> torch.Tensor:
        if self._transposed:
            return (self._b @ self._a[:, start:stop]).T * self._scale
        return (self._b[start:stop] @ self._a) * self._scale
