"""Whether stored numbers are numbers, with nothing but Python.

An adapter whose training diverged holds NaN or infinity, loads without a word, and makes every
answer of the model one repeated token (https://github.com/openvla/openvla/issues/53).
"""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import CHUNK, SourceError, StoredTensor

# Bytes of a number, and the bits of its two highest bytes that are all set in NaN and infinity.
_FORMS = {
    "BF16": (2, 0x7F, 0x80),
    "F16": (2, 0x7C, 0x00),
    "F32": (4, 0x7F, 0x80),
    "F64": (8, 0x7F, 0xF0),
}


def refuse_not_finite(tensors: Iterable[StoredTensor]) -> None:
    """Read tensors, and refuse the first that holds NaN or infinity.

    Raises:
        SourceError: One does; the message names it.
    """
    for tensor in tensors:
        if not is_finite(tensor):
            raise SourceError(
                f"{tensor.name} holds NaN or infinity, which makes every answer useless",
                owner=str(tensor.file),
                safe="nothing of it was released",
                next="take an earlier checkpoint; the training diverged before this one",
            )


def is_finite(tensor: StoredTensor) -> bool:
    """Return whether a stored tensor holds neither NaN nor infinity; other types cannot."""
    form = _FORMS.get(tensor.dtype)
    if form is None:
        return True
    size, *masks = form
    tables = [bytes(int(byte & mask == mask) for byte in range(256)) for mask in masks]
    with tensor.file.open("rb") as handle:
        handle.seek(tensor.offset)
        for start in range(0, tensor.nbytes, CHUNK):
            data = handle.read(min(CHUNK, tensor.nbytes - start))
            high, low = (
                int.from_bytes(data[size - 1 - place :: size].translate(table), "little")
                for place, table in enumerate(tables)
            )
            if high & low:
                return False
    return True
