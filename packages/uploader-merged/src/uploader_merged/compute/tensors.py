"""Read stored tensors into torch, whole or by rows, from any thread; write a small file of them.

Heavy: imports torch.
"""

from __future__ import annotations

import ctypes
import functools
import math
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch

import uploader_kernels
from uploader_core.plugin import SourceError, read_range
from uploader_lora import StoredTensor
from uploader_merged.base.mlx_packed import MlxTensor
from uploader_merged.base.packed_tensor import PackedTensor
from uploader_merged.compute.mlx_codes import dequantised
from uploader_merged.merge_plan.recipes import View

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


def load(stored: StoredTensor) -> torch.Tensor:
    """Read a whole tensor as it is stored."""
    return load_rows(stored, 0, stored.shape[0] if stored.shape else 1).reshape(stored.shape)


def load_rows(stored: StoredTensor, start: int, stop: int) -> torch.Tensor:
    """Read rows along the first axis, as they are stored.

    Raises:
        SourceError: The type is unknown to torch, or the file is shorter than its header said.
    """
    if isinstance(stored, PackedTensor):
        return _widened_rows(stored, start, stop)
    if stored.dtype not in DTYPES:
        raise SourceError(
            f"{stored.name} has the type {stored.dtype}, which torch {torch.__version__} does not "
            "have",
            owner=str(stored.file),
            next="add --base PATH_OR_ID with a 16-bit model",
        )
    # Opened for each read: no shared position, so threads need no lock.
    row = stored.nbytes // max(1, stored.shape[0] if stored.shape else 1)
    handle = os.open(stored.file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        data = read_range(handle, stored.offset + start * row, (stop - start) * row, _allocate)
    except EOFError as error:
        raise SourceError(
            f"{stored.file.name} became shorter while it was read",
            owner=str(stored.file),
            next="run it again when nothing else writes to the file",
        ) from error
    finally:
        os.close(handle)
    flat = torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
    dtype = DTYPES[stored.dtype]
    if flat.data_ptr() % dtype.itemsize:
        flat = flat.clone()  # a header of odd length: the numbers lie between the processor's words
    return flat.view(dtype).view(stop - start, *stored.shape[1:])


def _allocate(size: int) -> memoryview:
    """Return memory that torch's allocator uses again and again; fresh pages cost more."""
    return memory(torch.empty(size, dtype=torch.uint8))


def _widened_rows(packed: PackedTensor, start: int, stop: int) -> torch.Tensor:
    """Undo the quantisation of some rows, as the libraries do that load such files."""
    if isinstance(packed, MlxTensor):
        parts = [load_rows(part, start, stop) for _, part in packed.parts]
        codes = load_rows(packed.codes, start, stop)
        return dequantised(packed, codes, parts, DTYPES[packed.dtype])
    columns = math.prod(packed.shape[1:])
    if packed.codes.dtype == "F8_E4M3":
        high, wide = packed.block
        scale = load(packed.part("scale")).float()[start // high : math.ceil(stop / high)]
        scale = scale.repeat_interleave(high, 0)[start % high :][: stop - start]
        scale = scale.repeat_interleave(wide, 1)[:, :columns]
        value = load_rows(packed.codes, start, stop).float() * scale
        return value.to(DTYPES[packed.dtype])
    first, last = start * columns, stop * columns
    # Two codes share a byte.
    stored = replace(packed.codes, shape=(packed.codes.nbytes,), dtype="U8")
    both = load_rows(stored, first // 2, (last + 1) // 2)
    codes = torch.stack([both >> 4, both & 15], 1).view(-1)[first % 2 :][: last - first]
    (size,) = packed.block
    blocks = slice(first // size, math.ceil(last / size))
    scales = _block_scales(packed)[blocks].repeat_interleave(size)[first % size :][: last - first]
    value = load(packed.part("quant_map"))[codes.long()] * scales
    return value.view(stop - start, *packed.shape[1:]).to(DTYPES[packed.dtype])


def _block_scales(packed: PackedTensor) -> torch.Tensor:
    absmax = load(packed.part("absmax"))
    if not packed.nested_block:
        return absmax
    values = load(packed.part("nested_quant_map"))[absmax.long()]
    outer = load(packed.part("nested_absmax")).repeat_interleave(packed.nested_block)
    return values * outer[: values.numel()] + packed.nested_offset


def memory(tensor: torch.Tensor) -> memoryview:
    """Return a contiguous CPU tensor's bytes, without a copy and without numpy."""
    nbytes = tensor.numel() * tensor.element_size()
    if not nbytes:
        return memoryview(bytearray())
    buffer = (ctypes.c_char * nbytes).from_address(tensor.data_ptr())
    # The view keeps the ctypes buffer, and the buffer has to keep the tensor.
    buffer._tensor = tensor  # type: ignore[attr-defined]  # ctypes takes any attribute
    return memoryview(buffer).cast("B")


def row_blocks(shape: tuple[int, ...], elements: int) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) along the first axis, at most so many elements at once."""
    rows = shape[0] if shape else 1
    step = max(1, elements // max(1, math.prod(shape[1:])))
    for start in range(0, rows, step):
        yield start, min(rows, start + step)


class Scratch(threading.local):
    """Memory of a thread that is used again for every block, and so stays in its cache."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def take(self, use: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return memory with whatever is in it; what was taken for the same use is gone."""
        size = math.prod(shape)
        kept = self._kept.get((use, dtype))
        if kept is None or kept.numel() < size:
            kept = self._kept[use, dtype] = torch.empty(size, dtype=dtype)
        return kept[:size].view(shape)


class Recent:
    """The tensors that were asked for last. Safe to use from several threads.

    Args:
        keep: How many.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the tensor of a key, made anew unless it is there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
        return made


class ViewLoader:
    """Reads parts of matrices, keeping the few that are cut into many parts.

    One expert's columns of a packed B lie scattered over the whole matrix, so without this every
    expert would read all of it. Safe to use from several threads.

    Attributes:
        scratch: Memory for what is computed with the parts.
        turned: The transposed part of a stack that was read last.
    """

    def __init__(self, keep: int = 4) -> None:
        self.scratch = Scratch()
        self.turned = Recent(1)
        self._recent = Recent(keep)

    @functools.cached_property
    def kernels(self) -> uploader_kernels.Library | None:
        """The compiled kernels; None where there are none."""
        return uploader_kernels.load_if_there()

    def load(self, view: View, dtype: torch.dtype) -> torch.Tensor:
        """Return a part of a matrix as (rows, columns), contiguous."""
        if view.columns[2] == 1:
            start, stop, step = view.rows
            rows = load_rows(view.tensor, start, stop)[::step]
        else:
            rows = self._whole(view.tensor)[slice(*view.rows)]
        columns = rows.reshape(rows.shape[0], -1)[:, slice(*view.columns)]
        return columns.to(dtype).contiguous()

    def _whole(self, tensor: StoredTensor) -> torch.Tensor:
        return self._recent.get(tensor, lambda: load(tensor))


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write a safetensors file in one go.

    Raises:
        OSError: It cannot be written. safetensors has an error of its own for that, in which a full
            disk is a word in a text.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path, metadata={"format": "pt"})
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
