"""Importance matrices: how much each input of a matrix matters, from ``llama-imatrix``.

Both of its formats are read: GGUF (sums of squares and counts, per expert) and the older ``.dat``.
What the numbers become follows ``load_imatrix`` of ``tools/quantize/quantize.cpp`` and
``common/imatrix-loader.cpp`` (llama.cpp b10605).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any, BinaryIO

from uploader_core.plugin import RefusedError, UploaderError
from uploader_gguf.format import gguf_file
from uploader_gguf.format.quants import Quant, TensorType
from uploader_gguf.format.tensor_roles import category, requires_imatrix

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MOST_ENTRIES, _LONGEST_NAME = 1 << 20, 1 << 12
_SUMS, _COUNTS = ".in_sum2", ".counts"


@dataclass(frozen=True, kw_only=True, slots=True)
class Importance:
    """A loaded importance matrix.

    Attributes:
        name: File name, without folders: it is published.
        entries: By tensor name, float32: row length values, or as many for each expert.
        dataset: What it was computed on, if the file says so, without folders.
        chunks: How many pieces of text it was computed on, 0 when unknown.
    """

    name: str
    entries: Mapping[str, npt.NDArray[np.float32]]
    dataset: str | None
    chunks: int

    def of(self, tensor: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32] | None:
        """Return the weights of a tensor, shape (experts, row length), or None.

        Raises:
            RefusedError: The file was made for a model of another shape.
        """
        values = self.entries.get(tensor)
        if values is None:
            return None
        experts = shape[-3] if len(shape) > 2 else 1
        if values.size != experts * shape[-1]:
            if category(tensor) == "embedding":
                return None  # llama-quantize leaves it out as well
            raise RefusedError(
                f"the importance matrix has {values.size} values for {tensor}, not"
                f" {experts * shape[-1]}: it was made for another model",
                owner=self.name,
                safe="nothing was written",
                next="compute one for this model, or leave --gguf-imatrix away",
            )
        return values.reshape(experts, shape[-1])

    def keys(self) -> dict[str, bytes]:
        """Return the packed keys that ``llama-quantize`` writes about it."""
        text = struct.pack("<I", 8)
        keys = {"quantize.imatrix.file": text + gguf_file.string(self.name)}
        if self.dataset:
            keys["quantize.imatrix.dataset"] = text + gguf_file.string(self.dataset)
        keys["quantize.imatrix.entries_count"] = gguf_file.uint32(len(self.entries))
        if self.chunks > 0:
            keys["quantize.imatrix.chunks_count"] = gguf_file.uint32(self.chunks)
        return keys


def require(importance: Importance | None, quant: Quant, types: Mapping[str, TensorType]) -> None:
    """Refuse a file that would be garbage: very few bits without importance.

    Raises:
        RefusedError: It names the first tensor without an entry.
    """
    for name, kind in types.items():
        if requires_imatrix(name, kind, quant) and (
            importance is None or name not in importance.entries
        ):
            raise RefusedError(
                f"{quant.name} stores {name} as {kind.name}, which is garbage without an"
                " importance matrix" + (" entry for it" if importance else ""),
                owner=importance.name if importance else "option --gguf-quants",
                safe="nothing was written",
                next="give one with --gguf-imatrix FILE, or choose Q2_K, Q3_K_S or IQ4_XS",
            )


def look_at(path: Path) -> None:
    """Refuse what is obviously not an importance matrix, reading its beginning only.

    Raises:
        RefusedError: As for :func:`load`.
    """
    with _telling(path), path.open("rb") as handle:
        if handle.read(4) == gguf_file.MAGIC:
            _keys(gguf_file.read_header(path))
        else:
            handle.seek(0)
            count, length = struct.unpack("<ii", handle.read(8))
            if not (0 < count < _MOST_ENTRIES and 0 < length < _LONGEST_NAME):
                raise ValueError("it begins with impossible numbers")


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UploaderError, ValueError, struct.error) as error:
        raise RefusedError(
            f"{path.name} is not an importance matrix: {error}",
            owner=str(path),
            safe="nothing was written",
            next="make one with llama-imatrix, or leave --gguf-imatrix away",
        ) from error


def load(path: Path) -> Importance:
    """Read an importance matrix.

    Raises:
        RefusedError: No such file, or not an importance matrix.
    """
    import numpy as np

    with _telling(path), path.open("rb") as handle:
        magic = handle.read(4)
        handle.seek(0)
        loaded = _gguf(path) if magic == gguf_file.MAGIC else _legacy(path, handle)

    for name, values in loaded.entries.items():
        if not np.isfinite(values).all():
            raise RefusedError(
                f"the importance matrix has a value for {name} that is not finite",
                owner=str(path),
                safe="nothing was written",
                next="compute it again",
            )
    return loaded


def _gguf(path: Path) -> Importance:
    import numpy as np

    header = gguf_file.read_header(path)
    keys = _keys(header)
    found: dict[str, dict[str, npt.NDArray[np.float32]]] = {}
    size = path.stat().st_size
    for tensor, offset in zip(header.tensors, header.offsets, strict=True):
        for suffix in (_SUMS, _COUNTS):
            if tensor.name.endswith(suffix) and tensor.kind is TensorType.F32:
                if offset + tensor.nbytes > size:
                    raise ValueError(f"{tensor.name[:80]!r} is beyond the end of the file")
                data = np.fromfile(path, np.float32, tensor.nbytes // 4, offset=offset)
                found.setdefault(tensor.name.removesuffix(suffix), {})[suffix] = data
    entries = {}
    for name, parts in found.items():
        if set(parts) != {_SUMS, _COUNTS}:
            raise ValueError(f"sums and counts do not match for {name}")
        counts = np.rint(parts[_COUNTS]).astype(np.float32).reshape(-1, 1)
        sums = parts[_SUMS].reshape(counts.size, -1)
        # An expert that never ran counts every input alike.
        with np.errstate(divide="ignore", invalid="ignore"):
            entries[name] = np.where(counts > 0, sums / counts, np.float32(1)).ravel()
    if not entries:
        raise ValueError("no entries")
    datasets = keys["imatrix.datasets"] or [None]
    return Importance(
        name=path.name,
        entries=entries,
        dataset=_file_name(datasets[0]),
        chunks=int(keys["imatrix.chunk_count"]),
    )


def _keys(header: gguf_file.Header) -> dict[str, Any]:
    needed = ("imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size")
    if any(key not in header.keys for key in needed):
        raise ValueError("a GGUF file without the keys of one")
    datasets, chunks, _ = (header.keys[key] for key in needed)
    if not isinstance(datasets, list) or not all(isinstance(name, str) for name in datasets):
        raise ValueError("its datasets are no texts")
    if type(chunks) is not int:
        raise ValueError("its number of chunks is no number")
    return header.keys


def _legacy(path: Path, handle: BinaryIO) -> Importance:
    import numpy as np

    def number() -> int:
        return int(struct.unpack("<i", handle.read(4))[0])

    entries = {}
    whole = path.stat().st_size
    count = number()
    if not 0 < count < _MOST_ENTRIES:
        raise ValueError("no entries")
    for _ in range(count):
        length = number()
        if not 0 < length < _LONGEST_NAME:
            raise ValueError("a name of impossible length")
        name = handle.read(length).decode("utf-8")
        calls, size = number(), number()
        if size < 1 or 4 * size > whole - handle.tell():
            raise ValueError(f"it says that {size:,} values follow")
        values = np.frombuffer(handle.read(4 * size), dtype=np.float32)
        entries[name] = values / np.float32(calls) if calls > 0 else values.copy()
    rest = handle.read(8)
    chunks, dataset = 0, None
    if len(rest) == 8:
        chunks, length = struct.unpack("<ii", rest)
        dataset = handle.read(max(0, length)).decode("utf-8", errors="replace") or None
    return Importance(name=path.name, entries=entries, dataset=_file_name(dataset), chunks=chunks)


def _file_name(dataset: str | None) -> str | None:
    # llama-imatrix notes the path of the text; folders of a private machine stay private.
    return PureWindowsPath(dataset).name if dataset else None
