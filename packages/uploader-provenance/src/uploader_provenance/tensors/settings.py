"""Settings of the document about tensors."""

from __future__ import annotations

from dataclasses import dataclass

from uploader_core.plugin import setting


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSettings:
    """What the user can choose."""

    tensors: bool = setting(
        False,
        help="also list a digest of every tensor, by which the same weights in other files can be"
        " told; reads what was written once more",
    )


def is_wanted(settings: TensorSettings) -> bool:
    """Return whether the document is made."""
    return settings.tensors
