"""Let transformers say which part of which stored tensor a tensor with a released name is.

Heavy: imports torch and transformers. Their own reverse conversion runs, on tensors of the meta
device: what comes out has no values, and is a view of what went in, whose first element and steps
say where its bytes are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import torch  # noqa: TID253 - this module asks transformers

from uploader_core.plugin import SourceError
from uploader_lora import DTYPE_BITS, StoredTensor
from uploader_merged.base.packed_tensor import PackedTensor
from uploader_merged.checkpoint import Checkpoint
from uploader_merged.load_proof.model_class import class_for, loader, quiet, read_config

_NEXT = (
    "leave --merged-names out, and save the model again in the training script with "
    "model.save_pretrained(FOLDER)"
)


def with_original_names(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint whose base has the names that transformers' ``save_pretrained`` writes.

    Names that are as released already, and tensors that the model has no place for, stay.

    Args:
        checkpoint: Opened.

    Raises:
        SourceError: transformers has no such conversion, or it does more than cutting.
    """
    base = checkpoint.base
    packed = next((t for t in base.tensors.values() if isinstance(t, PackedTensor)), None)
    if packed is not None:
        _refuse(checkpoint, f"the base is quantised ({base.quantised}), so {packed.name} has no "
                "bytes that could be cut")  # fmt: skip
    tensors = original_tensors(checkpoint)
    return checkpoint.on(replace(base, tensors=tensors))


def original_tensors(checkpoint: Checkpoint) -> dict[str, StoredTensor]:
    """Return the base's tensors by released names, in the order of the files.

    Raises:
        SourceError: As in :func:`with_original_names`.
    """
    stored = checkpoint.base.tensors
    try:
        model = _on_meta(checkpoint)
        held = _names_in_memory(model, stored)
        views = {
            name: torch.empty(stored[name].shape, dtype=torch.uint8, device="meta").as_subclass(
                _View
            )
            for name in held
        }
        named = _reverted(model, {held[name]: view for name, view in views.items()})
    except Exception as error:
        _refuse(checkpoint, f"{loader()} cannot say what the released names are: "
                f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")  # fmt: skip
    owners = {view.untyped_storage()._cdata: name for name, view in views.items()}
    parts: dict[str, list[StoredTensor]] = {name: [] for name in stored}
    for name, view in named.items():
        owner = owners.get(view.untyped_storage()._cdata)
        if owner is None:
            _refuse(checkpoint, f"{name} is put together from several stored tensors")
        if not view.is_contiguous():
            _refuse(checkpoint, f"{name} is {owner} with its axes in another order")
        parts[owner].append(_cut(stored[owner], name, view))
    found: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        cut = parts[name] if name in views else [tensor]
        if sum(part.nbytes for part in cut) != tensor.nbytes:
            _refuse(checkpoint, f"{name} is not all there under released names")
        for part in sorted(cut, key=lambda part: part.offset):
            if part.name in found:
                _refuse(checkpoint, f"two tensors would be {part.name}")
            found[part.name] = part
    return found


class _View(torch.Tensor):
    """A tensor that stays a view where a copy would be made of it."""

    def contiguous(self, *_: Any, **__: Any) -> _View:
        """Return the view itself: it is asked where its elements are, and has none."""
        return self


def _on_meta(checkpoint: Checkpoint) -> Any:
    with quiet(), torch.device("meta"):
        config = read_config(checkpoint.config)
        chosen, named = class_for(config)
        if chosen is None:
            raise ValueError(f"no class {named} for the model type {config.model_type}")
        return chosen(config)


def _names_in_memory(model: Any, stored: Iterable[str]) -> dict[str, str]:
    """Return what the model calls the stored tensors that it holds one by one, by stored name.

    One that is put together when it is loaded (an expert) is stored as released, and left out.
    """
    from transformers.core_model_loading import WeightConverter

    known = frozenset(model.state_dict())
    conversions = _conversions(model)
    found: dict[str, str] = {}
    for name in stored:
        key, joined = name, False
        for conversion in conversions if name not in known else ():
            renamed, pattern = conversion.rename_source_key(key)
            joined = joined or (pattern is not None and isinstance(conversion, WeightConverter))
            key = key if joined else renamed
        for held in (key, f"{model.base_model_prefix}.{key}"):
            if held in known and not joined:
                found[name] = held
                break
    return found


def _reverted(model: Any, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Let transformers turn names of memory into those of files."""
    from transformers.core_model_loading import revert_weight_conversion

    # What save_pretrained goes by for a model that was loaded from released files.
    model._weight_conversions = _conversions(model)
    found: Mapping[str, torch.Tensor] = revert_weight_conversion(model, dict(tensors))
    return found


def _conversions(model: Any) -> list[Any]:
    """Return how released files are loaded.

    A change of prefix at the root only says that a part of a larger model can be loaded alone.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import PrefixChange

    return [
        conversion
        for conversion in get_model_conversion_mapping(model, add_legacy=False)
        if not (isinstance(conversion, PrefixChange) and conversion.scope_prefix is None)
    ]


def _cut(tensor: StoredTensor, name: str, view: torch.Tensor) -> StoredTensor:
    """Return the bytes of a view of a stored tensor, under its name."""
    size = DTYPE_BITS[tensor.dtype] // 8
    return replace(
        tensor,
        name=name,
        shape=tuple(view.shape),
        offset=tensor.offset + int(view.storage_offset()) * size,
        nbytes=view.numel() * size,
    )


def _refuse(checkpoint: Checkpoint, why: str) -> NoReturn:
    raise SourceError(
        f"the tensors cannot be given the names that they were released with: {why}",
        owner=str(checkpoint.base.folder),
        safe="nothing was written",
        next=_NEXT,
    )
