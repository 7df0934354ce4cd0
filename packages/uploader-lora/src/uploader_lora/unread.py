"""Files that look like trained weights and that nothing reads.

A trainer may save a part of the model in a separate file: a projector that was trained in full, a
value head, embeddings, norms. PEFT and transformers read none of them, so a release without them is
another model than the one that was trained
(https://github.com/2U1/Qwen-VL-Series-Finetune/issues/231). Names and endings tell; no pickle is
opened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from uploader_core.plugin import Artifact, Finding, PlanContext
from uploader_lora.stored import MAX_INDEX, has_weights, read_json, weight_files

_WEIGHTS = re.compile(r"[^/]+\.(safetensors|bin|pt|pth|ckpt)", re.I)
# Endings that say nothing: only a name that speaks of weights makes it one.
_OTHER = re.compile(
    r"[^/]*(head|model|weight|projector|classifier|embed|adapter|merger|state_dict)[^/]*"
    r"\.(pkl|pickle|joblib|npz|npy|msgpack)",
    re.I,
)

# What every trainer leaves, and nobody misses: the state of a training, to go on with it.
_TRAINING = re.compile(
    r"(training_args|training_state|trainer_state|(paged_)?optim(izer)?|(lr_)?scheduler"
    r"|(grad_)?scaler|rng_state|random_states?|sampler|(train_)?dataloader|dl_state_dict"
    r"|custom_checkpoint|pytorch_model_fsdp|adapter_model_fsdp)([_.-][\w.-]+)?\.\w+"
    r"|([^/]*[_-])?(args|config|history|loss(es)?|metrics|results?|predictions|dataset|logs?)\.\w+"
    r"|label_encoder\.\w+",
    re.I,
)

# The same weights again, for other programs.
_ADAPTER_AGAIN = re.compile(r"adapter_model([_-][\w-]+)?\.bin|ggml-adapter-model\.bin", re.I)
_MODEL_AGAIN = re.compile(
    r"pytorch_model([._-][\w.-]+)?\.bin|(tf|flax)_model([._-][\w-]+)?\.\w+|rust_model\.ot"
    r"|consolidated([._-][\w-]+)?\.(pth?|safetensors)|model\.fp(16|32)\.safetensors"
    r"|openvino_[\w-]+\.bin|weights\.pt",
    re.I,
)
_WHOLE_MODEL = re.compile(r"(pytorch_)?model([._-][\w.-]+)?\.(safetensors|bin)", re.I)


def unread_beside_adapter(names: Iterable[str], read: Collection[str]) -> tuple[str, ...]:
    """Return the files of an adapter's folder that look like weights and are not the adapter's.

    Args:
        names: Of all files of the folder.
        read: Those that are read.
    """
    return tuple(n for n in _weights(names, read) if not _ADAPTER_AGAIN.fullmatch(n))


def unread_beside_model(names: Iterable[str], read: Collection[str]) -> tuple[str, ...]:
    """Return the files of a model's folder that look like weights and that no index names."""
    return tuple(n for n in _weights(names, read) if not _MODEL_AGAIN.fullmatch(n))


def unread_in(folder: Path, stem: str, unfetched: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the files of a folder that look like weights, and that nothing reads.

    Args:
        folder: Of an adapter or a model.
        stem: ``adapter_model`` or ``model``.
        unfetched: Names of files that are in the folder where it comes from, and not here.

    Raises:
        SourceError: The index of its weights is malformed.
    """
    names = sorted({*(path.name for path in folder.iterdir() if path.is_file()), *unfetched})
    read = {*(weight_files(folder, stem) if has_weights(folder, stem) else ())}
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        # Shards that a newer single file took the place of are no part that is missed.
        named = read_json(index, MAX_INDEX).get("weight_map")
        read |= set(map(str, named.values())) if isinstance(named, dict) else set()
    if stem == "model":
        return unread_beside_model(names, read)
    return unread_beside_adapter(names, read)


def unfetched_of(artifact: Artifact) -> tuple[str, ...]:
    """Return the names of the files that a source plugin did not bring."""
    names = artifact.metadata.get("unfetched")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def carried(folder: Path, leave_behind: Collection[str]) -> Mapping[str, Path]:
    """Return what goes with a released adapter though PEFT does not read it.

    Safe files of single parts, which the trainer's own loader finds next to the adapter again: no
    pickles, and no whole models.
    """
    return {
        name: folder / name
        for name in unread_in(folder, "adapter_model")
        if _can_go_along(name) and name not in leave_behind
    }


def refusals_of_adapter(context: PlanContext, *, alone: bool = False) -> Iterator[Finding]:
    """Yield an error for what is next to the adapter of a check and nobody reads.

    Args:
        context: With the adapter among its inputs.
        alone: It is released as it is, and some of the files go along.
    """
    adapter = context.input("adapter")
    files = unread_in(adapter.path, "adapter_model", unfetched_of(adapter))
    yield from refusals(context, files, adapter=adapter.path, alone=alone)


def refusals(
    context: PlanContext, files: Iterable[str], *, adapter: Path | None = None, alone: bool = False
) -> Iterator[Finding]:
    """Yield an error for the files that nobody reads, unless the user said to leave them behind.

    Args:
        context: Of the check.
        files: Their names.
        adapter: The folder, where it is an adapter that is released.
        alone: The adapter is released as it is, and some of them go along.
    """
    left = [name for name in files if name not in context.release.leave_behind]
    if alone:
        left = [name for name in left if not _can_go_along(name)]
    if not left:
        return
    named, behind = ", ".join(left), f"--leave-behind {','.join(left)}"
    if adapter is not None and all(_WHOLE_MODEL.fullmatch(name) for name in left):
        yield Finding(
            level="error",
            what=f"{adapter} holds an adapter and a complete model ({named}), and a release is "
            "made of one of them",
            next=f"to release the adapter: {behind}; to release the model, move it with "
            "config.json and the tokenizer's files to a separate folder",
        )
        return
    yield Finding(
        level="error",
        what=f"{named} may be a trained part of the model, and nothing here reads it",
        next="merge with the tool that trained it, and release the merged folder; where the model "
        f"is whole without: {behind}",
    )


def _can_go_along(name: str) -> bool:
    return name.endswith(".safetensors") and not _WHOLE_MODEL.fullmatch(name)


def _weights(names: Iterable[str], read: Collection[str]) -> Iterator[str]:
    for name in names:
        alike = _WEIGHTS.fullmatch(name) or _OTHER.fullmatch(name)
        if alike and name not in read and not _TRAINING.fullmatch(name):
            yield name
