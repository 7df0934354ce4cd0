"""The base model: its configuration and its tensors, from headers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import SourceError
from uploader_lora import StoredTensor, has_weights, read_json, read_stored
from uploader_merged.base.config_values import check_values
from uploader_merged.base.packed import (
    SIXTEEN_BIT,
    is_left_over,
    plain_config,
    quantisation,
    widen,
)
from uploader_merged.base.packed_tensor import PackedTensor
from uploader_merged.base.unfinished import (
    refuse_two_saves,
    refuse_unfinished,
    refuse_without_weights,
)
from uploader_merged.base.wrappers import strip_wrappers

CONFIG = "config.json"
STEM = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseModel:
    """A full model folder.

    Attributes:
        folder: Where it is.
        config: ``config.json``; without ``quantization_config`` where tensors are widened.
        tensors: By name, in the order of the files.
        quantised: How the files are quantised (``bitsandbytes``, ``fp8``, ``mlx``), or None.
        unwrapped: What was taken off the names of the files (``_orig_mod. of torch.compile``).
        widened: How the configuration says that the files are quantised, which they are not.
    """

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, StoredTensor]
    quantised: str | None = None
    unwrapped: tuple[str, ...] = ()
    widened: str | None = None


def read_base(folder: Path) -> BaseModel:
    """Read a model folder without its weights.

    Raises:
        SourceError: No configuration, no safetensors weights, malformed files, weights in a
            quantised form that nothing can be added to, or a model that was saved too early.
    """
    if (folder / "adapter_config.json").is_file() and not has_weights(folder, STEM):
        # Trained on top of another adapter, as in https://github.com/McGill-NLP/llm2vec/issues/128
        raise SourceError(
            f"the base model in {folder} is an adapter itself",
            owner=str(folder / "adapter_config.json"),
            safe="nothing was written",
            next=f"merge that one first: uploader run {folder} --plugins merged-16bit "
            "--output OUT, then: uploader run ADAPTER --base OUT/merged-16bit",
        )
    if not (folder / CONFIG).is_file():
        raise SourceError(
            f"{folder} holds no model: there is no {CONFIG}",
            owner=str(folder),
            safe="nothing was written",
            next="add --base PATH with the folder of the base model",
        )
    config: Mapping[str, Any] = read_json(folder / CONFIG)
    check_values(folder / CONFIG, config)
    _refuse_quantised_parts(folder, config)
    if not has_weights(folder, STEM):
        refuse_without_weights(folder)
    tensors = read_stored(folder, STEM)
    refuse_two_saves(folder, tensors)
    refuse_unfinished(folder, config, tensors)
    tensors, unwrapped = strip_wrappers(folder, tensors)
    _refuse_exchanged(tensors)
    method = quantisation(config)
    widened = None
    if method is not None and is_left_over(method, tensors):
        widened = str(method.get("quant_method", "mlx"))
        config = plain_config(config)
    elif method is not None:
        config, tensors = widen(folder, config, tensors)
    return BaseModel(
        folder=folder,
        config=config,
        tensors=tensors,
        quantised=_how(method, tensors),
        unwrapped=unwrapped,
        widened=widened,
    )


def _how(method: Mapping[str, Any] | None, tensors: Mapping[str, StoredTensor]) -> str | None:
    """Return how a model is quantised, or None.

    mlx-lm leaves matrices of odd widths in 16 bits, up to all of them, and says that it did not.
    """
    if method is None or not any(isinstance(tensor, PackedTensor) for tensor in tensors.values()):
        return None
    return str(method.get("quant_method", "mlx"))


def nested_configs(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a configuration and the ones of its parts (``text_config``, ``vision_config``)."""
    yield config
    for key, value in config.items():
        if key.endswith("_config") and isinstance(value, dict):
            yield from nested_configs(value)


def _refuse_exchanged(tensors: Mapping[str, StoredTensor]) -> None:
    """Refuse a header that gives a norm the place of a matrix, or a matrix that of a norm."""
    for name, tensor in tensors.items():
        dimensions = len(tensor.shape)
        norm = name.endswith("layernorm.weight") and dimensions != 1
        matrix = name.endswith(("lm_head.weight", "embed_tokens.weight")) and dimensions < 2
        if norm or matrix:
            raise SourceError(
                f"{name} has the shape {list(tensor.shape)}, which no such tensor has",
                owner=str(tensor.file),
                safe="nothing was written",
                next="download or save the base model again",
            )


def _refuse_quantised_parts(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse quantisation that only a part of the model declares."""
    for part in nested_configs(config):
        method = quantisation(part)
        if part is not config and method is not None:
            raise SourceError(
                f"a part of the model in {folder} is quantised "
                f"({str(method.get('quant_method', 'unknown'))[:40]}), and its weights cannot be "
                "widened here",
                owner=str(folder / CONFIG),
                safe="nothing was written",
                next=SIXTEEN_BIT,
            )
