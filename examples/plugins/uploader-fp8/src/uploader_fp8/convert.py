"""Quantise a checkpoint tensor by tensor; nothing but one file of weights is ever in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
from compressed_tensors.quantization import (
    QuantizationConfig,
    QuantizationScheme,
    preset_name_to_scheme,
)
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import save_file

from uploader_core.plugin import Artifact, RefusedError, StepContext
from uploader_fp8.preflight import kept
from uploader_merged import Checkpoint, open_checkpoint

INDEX = "model.safetensors.index.json"


def convert(context: StepContext) -> Artifact:
    """Write the model with FP8 weights, as llm-compressor's FP8_DYNAMIC does."""
    checkpoint = open_checkpoint(context.input("checkpoint"))
    scheme = preset_name_to_scheme("FP8_DYNAMIC", targets=["Linear"])
    linear = _linear_modules(checkpoint)
    ignored = [name for name in linear if kept(name, context.settings.keep)]
    quantised = {f"{name}.weight" for name in linear} - {f"{name}.weight" for name in ignored}

    shards = list(_shards(checkpoint, context.settings.shard_size))
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        if len(shards) == 1:
            file = "model.safetensors"
        stored = [n for name in names for n in (name, *_scale(name, quantised))]
        weight_map |= dict.fromkeys(stored, file)
        if context.output.done(file) is None:
            tensors: dict[str, torch.Tensor] = {}
            for name in names:
                tensors |= _store(checkpoint, name, quantised, scheme)
            with context.output.reserve(file) as path:
                save_file(tensors, path, metadata={"format": "pt"})
        context.progress("quantising", number, len(shards), "files")
    if len(shards) > 1:
        index = {"metadata": {"total_size": context.artifact().size}, "weight_map": weight_map}
        context.output.write(INDEX, json.dumps(index, indent=2, sort_keys=True))

    quantisation = QuantizationConfig(
        config_groups={"group_0": scheme},
        ignore=ignored,
        format="float-quantized",
        quantization_status="compressed",
    )
    config = {**checkpoint.config, "quantization_config": quantisation.to_dict()}
    context.output.write("config.json", json.dumps(config, indent=2, sort_keys=True, default=str))
    for companion in checkpoint.companions():
        context.output.copy(companion.path, companion.name, role=companion.role)
    return context.artifact({"quantised": len(quantised), "kept": sorted(ignored)})


def _linear_modules(checkpoint: Checkpoint) -> list[str]:
    """Return the names of the Linear modules, from the architecture itself and not from names."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(checkpoint.base.folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    found = [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)]
    tied = {"lm_head"} if getattr(config, "tie_word_embeddings", False) else set()
    missing = [n for n in found if f"{n}.weight" not in checkpoint.names and n not in tied]
    if missing:
        raise RefusedError(
            f"the checkpoint stores {missing[0]} under another name, as fused experts are",
            owner=f"model type {checkpoint.config.get('model_type')}",
            safe="nothing was written",
            next="use llm-compressor on merged-16bit",
        )
    return [name for name in found if name not in tied]


def _shards(checkpoint: Checkpoint, limit: int) -> Iterator[list[str]]:
    """Group tensors so that no file is larger than the limit, or holds one tensor."""
    names: list[str] = []
    size = 0
    for name in checkpoint.names:
        nbytes = checkpoint.recipe(name).nbytes
        if names and size + nbytes > limit:
            yield names
            names, size = [], 0
        names.append(name)
        size += nbytes
    yield names


def _scale(name: str, quantised: set[str]) -> tuple[str, ...]:
    return (f"{name}_scale",) if name in quantised else ()


def _store(
    checkpoint: Checkpoint, name: str, quantised: set[str], scheme: QuantizationScheme
) -> dict[str, torch.Tensor]:
    """Return a tensor as it is stored, and its scales when it is quantised.

    One scale per row, from the largest magnitude of the row: calculate_qparams and quantize are
    the library's own.
    """
    weight = checkpoint.read(name).contiguous()
    if name not in quantised:
        return {name: weight}
    arguments: Any = scheme.weights
    low, high = torch.aminmax(weight, dim=1, keepdim=True)
    scale, zero = calculate_qparams(low, high, arguments)
    stored = quantize(weight, scale, zero, arguments, dtype=torch.float8_e4m3fn)
    return {name: stored.contiguous(), f"{name}_scale": scale.contiguous()}
