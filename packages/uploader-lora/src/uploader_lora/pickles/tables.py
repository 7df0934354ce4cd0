"""What a pickle of torch says of its tensors, read without torch and without running anything.

A pickle is a program. Here its only instructions are those that make tables of tensors: any name of
another class or function ends the reading. Tensors are described, and their bytes stay in the file.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

DTYPES: Mapping[str, str] = {
    "BFloat16Storage": "BF16",
    "BoolStorage": "BOOL",
    "ByteStorage": "U8",
    "CharStorage": "I8",
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "IntStorage": "I32",
    "LongStorage": "I64",
    "ShortStorage": "I16",
    "UntypedStorage": "U8",
}
"""Types of safetensors by the classes of torch that hold their values."""

_FLOATS_OF_8_BITS = {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2"}


class ForbiddenError(ValueError):
    """The pickle names what is no part of a table of tensors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """Values of one type, one after the other.

    Attributes:
        key: Name in the file.
        dtype: As safetensors spells it.
        count: Of values.
    """

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """A tensor.

    Attributes:
        storage: Where its values are.
        dtype: As safetensors spells it.
        offset: Values before its first one.
        shape: Sizes of the axes.
        strides: Values from one to the next, for each axis.
    """

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """What stands for a type of torch."""

    dtype: str


def _rebuilt(storage: Any, offset: Any, shape: Any, strides: Any, *more: Any) -> Described:
    dtype = next((part.dtype for part in more if isinstance(part, _Kind)), None)
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(type(n) is int and n >= 0 for n in numbers):
        raise ForbiddenError("a tensor without a storage, or with impossible numbers")
    return Described(
        storage=storage,
        dtype=dtype or storage.dtype,
        offset=offset,
        shape=tuple(shape),
        strides=tuple(strides),
    )


def _parameter(data: Any, *_: Any) -> Any:
    return data


_ALLOWED: Mapping[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_tensor"): _rebuilt,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
    ("torch._utils", "_rebuild_tensor_v3"): _rebuilt,
    ("torch", "Size"): tuple,
    **{("torch", name): _Kind(dtype) for name, dtype in DTYPES.items()},
    ("torch.storage", "UntypedStorage"): _Kind("U8"),
    **{("torch", name): _Kind(dtype) for name, dtype in _FLOATS_OF_8_BITS.items()},
}


class TableReader(pickle.Unpickler):
    """Reads a table of tensors.

    Args:
        file: Of the pickle.
        noted: Called with each storage that a tensor is in.
    """

    def __init__(self, file: IO[bytes], noted: Callable[[Storage], None] = lambda _: None) -> None:
        super().__init__(file)
        self._noted = noted

    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise ForbiddenError(f"it names {module[:60]}.{name[:60]}, which was not run")
        return found

    def persistent_load(self, pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise ForbiddenError("it names something outside of itself that is no storage")
        kind, key, count = pid[1], pid[2], pid[4]
        if not isinstance(kind, _Kind) or not isinstance(key, str) or type(count) is not int:
            raise ForbiddenError("it has a storage of another form than torch writes")
        if len(pid) > 5 and pid[5] is not None:
            raise ForbiddenError("it has a view of a storage, as torch 0.4 and older wrote them")
        storage = Storage(key=key, dtype=kind.dtype, count=count)
        self._noted(storage)
        return storage
