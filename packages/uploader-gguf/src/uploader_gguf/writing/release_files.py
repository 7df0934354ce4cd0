"""Names and keys of the files: what a release calls them and says in them."""

from __future__ import annotations

from collections.abc import Mapping

from uploader_core.plugin import Size, UsageError
from uploader_gguf.format.gguf_file import file_name, uint32
from uploader_gguf.format.quants import Quant

FILE_TYPE = "general.file_type"
QUANTIZATION_VERSION = "general.quantization_version"

HUB_LIMIT = 499_000_000_000
"""Bytes of tensors in the largest file that the Hub takes: 500 GB with header and padding.

Nothing smaller is cut unless asked.
"""


def file_limit(size: Size | None) -> int:
    """Return the bytes of the largest file: as asked, and never more than the Hub takes.

    Raises:
        UsageError: Nothing fits into such a file.
    """
    if size is None:
        return HUB_LIMIT
    if size < 1:
        raise UsageError(
            f"--gguf-split-size {size} is not a size",
            owner="option --gguf-split-size",
            next="write a number with M or G, such as 20G",
        )
    return min(int(size), HUB_LIMIT)


def projector_name(model: str, kind: str) -> str:
    """Return ``mmproj-<Model>-<TYPE>.gguf``, the form that llama.cpp's tools look for."""
    return f"mmproj-{file_name(model, kind)}"


def keys_for(quant: Quant, keys: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the keys of one file.

    The converter's own files differ in ``general.file_type`` alone. ``llama-quantize`` takes that
    key and the quantisation version out and appends them, which is kept because it costs nothing.

    Args:
        quant: The type of file.
        keys: Packed keys of the F16 file.
    """
    ours = dict(keys)
    if quant.direct:
        ours[FILE_TYPE] = uint32(quant.ftype)
        return ours
    version = ours.pop(QUANTIZATION_VERSION, uint32(2))
    ours.pop(FILE_TYPE, None)
    ours[QUANTIZATION_VERSION] = version
    ours[FILE_TYPE] = uint32(quant.ftype)
    return ours
