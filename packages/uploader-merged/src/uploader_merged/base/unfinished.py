"""Folders that look like a model and are none: what a failed save or an unfinished job left."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from uploader_core.plugin import SourceError
from uploader_lora import FLOATS, MAX_INDEX, StoredTensor, read_header, read_json

_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_SINGLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"model-(\d{5})-of-(\d{5})\.safetensors")

# What PEFT's tuners call their parts in a model that was not merged.
_TUNERS = re.compile(
    r"(^|\.)(base_layer|lora_(A|B|embedding_A|embedding_B|magnitude_vector)|modules_to_save"
    r"|original_module|ia3_l|hada_w\d_\w|lokr_w\d(_\w)?|oft_[RSr]|vera_lambda_\w|boft_[RSr]"
    r"|token_adapter|trainable_tokens_delta)(\.|$)"
)
_FLAT = re.compile(r"(^|\.)_?(fsdp_)?flat_param(_\d+)?$")


def refuse_unfinished(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> None:
    """Refuse tensors that say by themselves that a step of the training script is missing.

    A model with code of its own (``auto_map``) may name its parts as it likes.

    Args:
        folder: Of the model.
        config: Its ``config.json``.
        tensors: By name.

    Raises:
        SourceError: A LoRA that was never merged, parameters that FSDP flattened, or tensors that
            DeepSpeed ZeRO-3 saved empty.
    """
    if "auto_map" in config:
        return
    unmerged = [name for name in tensors if _TUNERS.search(name)]
    if unmerged:
        _refuse(
            folder,
            f"an adapter was never merged into it: {_some(unmerged)}. transformers drops these "
            "and takes random weights for the layers around them",
            "point at the adapter's own folder (adapter_config.json) and its base, or merge it in "
            "the training script: model = model.merge_and_unload(); model.save_pretrained(FOLDER)",
        )
    flat = [name for name in tensors if _FLAT.search(name)]
    if flat:
        _refuse(
            folder,
            f"FSDP flattened its parameters: {_some(flat)}",
            "save a full state dict (FSDP: state_dict_type FULL_STATE_DICT), or gather the shards: "
            "accelerate merge-weights SHARDS FOLDER",
        )
    empty = [n for n, t in tensors.items() if t.shape == (0,) and t.dtype in FLOATS]
    if empty:
        _refuse(
            folder,
            f"it was saved without its values: {_some(empty)} {_has(empty)} the shape [0], which "
            "is what DeepSpeed ZeRO-3 leaves of a parameter on each process",
            "gather the weights: python zero_to_fp32.py CHECKPOINT FOLDER, or train with "
            "stage3_gather_16bit_weights_on_model_save",
        )


def refuse_without_weights(folder: Path) -> NoReturn:
    """Say what a folder with ``config.json`` and without safetensors weights is.

    Raises:
        SourceError: Always.
    """
    pickles = [name for name in _PICKLES if (folder / name).exists()]
    if pickles:
        raise SourceError(
            f"the weights in {folder} are pickles ({pickles[0]}), which can run code when they are "
            "opened; they are not opened here",
            owner=str(folder / pickles[0]),
            safe="nothing was written",
            next="take a revision of the model with safetensors"
            + (
                f", or: uploader convert-pickle {shlex.quote(str(folder))} --output OUT, which "
                "runs nothing of it"
                if pickles[0] == _PICKLES[0]
                else ""
            ),
        )
    shards = [m for p in folder.iterdir() if (m := _SHARD.fullmatch(p.name))]
    if shards:
        raise SourceError(
            f"{folder} has {len(shards)} of {int(shards[0][2])} weight files and no {_INDEX}: "
            "saving or downloading it was interrupted",
            owner=str(folder),
            safe="nothing was written",
            next="download or save the whole folder again",
        )
    raise SourceError(
        f"{folder} has a config.json and no {_SINGLE}: a save that fails leaves this, because "
        "transformers writes config.json first",
        owner=str(folder),
        safe="nothing was written",
        next="save the model again and read the error that save_pretrained raises (often an "
        "invalid generation_config), or add --base PATH with a folder that holds the whole model",
    )


def refuse_two_saves(folder: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Refuse a folder in which an older single file stands before newer shards.

    Saving in shards over a model of one file leaves that file there, and transformers, like every
    other reader, takes it (5.24.0). The other way round the shards are removed and only their
    index stays, which nobody reads.

    Args:
        folder: Of the model.
        tensors: Of the file that is read.

    Raises:
        SourceError: The shards are complete, newer, and of another model.
    """
    single, index = folder / _SINGLE, folder / _INDEX
    if not (single.is_file() and index.is_file()):
        return
    named = read_json(index, MAX_INDEX).get("weight_map")
    if not isinstance(named, dict):
        return
    shards = [child for child in folder.iterdir() if child.name in named.values()]
    if {s.name for s in shards} != set(named.values()) or single in shards:
        return
    if max(shard.stat().st_mtime_ns for shard in shards) <= single.stat().st_mtime_ns:
        return
    other = {n: t for shard in shards for n, t in read_header(shard).tensors.items()}
    same = other.keys() == tensors.keys()
    if same and not any(_differ(tensor, other[name]) for name, tensor in tensors.items()):
        return
    raise SourceError(
        f"{folder} holds two models: {_SINGLE}, and {len(shards)} shards that were written later. "
        f"transformers loads {_SINGLE}, the older one",
        owner=str(single),
        safe="nothing was written",
        next=f"move {_SINGLE} away to release the newer model, or {_INDEX} to release the older",
    )


def _differ(left: StoredTensor, right: StoredTensor) -> bool:
    """Return whether two tensors differ in what they are or in their first bytes."""
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return True
    return _beginning(left) != _beginning(right)


def _beginning(tensor: StoredTensor) -> bytes:
    with tensor.file.open("rb") as handle:
        handle.seek(tensor.offset)
        return handle.read(min(tensor.nbytes, 4096))


def _some(names: Iterable[str]) -> str:
    """Name the first of several tensors, and say how many there are."""
    listed = sorted(names)
    text = ", ".join(listed[:3])
    return text if len(listed) <= 3 else f"{text} and {len(listed) - 3} more"


def _has(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _refuse(folder: Path, what: str, following: str) -> NoReturn:
    raise SourceError(
        f"the model in {folder} is not complete: {what}",
        owner=str(folder),
        safe="nothing was written",
        next=following,
    )
