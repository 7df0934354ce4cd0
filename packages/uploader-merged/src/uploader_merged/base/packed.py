"""Bases that are in a quantised form: bitsandbytes' 4 bits, block-scaled fp8, mlx-lm's. No torch.

An adapter can be merged into such a base after its tensors are widened, one by one. What the
quantisation lost stays lost, so the plan says it, and names the 16-bit model where its name tells.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from uploader_core.plugin import SourceError, parse_json
from uploader_lora import FLOATS, StoredTensor, tensor_bytes
from uploader_merged.base.mlx_packed import is_mlx, widen_mlx
from uploader_merged.base.packed_tensor import DTYPES, PackedTensor

_STATE = re.compile(r"(?P<name>.+)\.quant_state\.bitsandbytes__(?P<kind>nf4|fp4)")
_SIBLINGS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
# Whose configurations stay behind when the model is widened; what remains of the others computes.
_WIDENED_BY_OTHERS = {"awq", "bitsandbytes", "fp8", "gptq", "mxfp4"}
_PART = re.compile(
    r"(\.(absmax|quant_map|quant_state\..+|qweight|qzeros|scales|biases|g_idx|SCB|weight_format"
    r"|weight_scale(_inv)?|weight_packed|input_scale|activation_scale)|_blocks|_scales)$"
)
_SUFFIX = re.compile(r"(-unsloth)?-bnb-4bit$|-FP8$", re.I)


def quantisation(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return how a model is quantised by its outer configuration, or None."""
    # Older folders of mlx-lm have its own word alone.
    found = config.get("quantization_config", config.get("quantization"))
    return found if isinstance(found, dict) else None


def is_left_over(method: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> bool:
    """Return whether all weights are widened, and only ``config.json`` still says how they were.

    ``model.dequantize()`` and scripts that write widened weights beside the old configuration leave
    such folders, and transformers takes their weights for packed ones.
    """
    known = method.get("quant_method") in _WIDENED_BY_OTHERS or is_mlx(method)
    return known and not any(
        tensor.dtype not in FLOATS or _PART.search(name) for name, tensor in tensors.items()
    )


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that says nothing of how the model is quantised."""
    # mlx-lm says it twice.
    unsaid = ("quantization_config", "quantization")
    return {key: value for key, value in config.items() if key not in unsaid}


def widen(
    folder: Path, config: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> tuple[dict[str, Any], dict[str, StoredTensor]]:
    """Return configuration and tensors of a quantised model as those of a 16-bit one.

    Args:
        folder: Of the model, for messages.
        config: Its ``config.json``, with ``quantization_config``.
        tensors: As they are stored.

    Raises:
        SourceError: A form that is not known here, or parts that do not fit together.
    """
    method = quantisation(config)
    assert method is not None
    if method.get("quant_method") == "bitsandbytes" and method.get("load_in_4bit"):
        found = _widen_4bit(folder, tensors)
    elif method.get("quant_method") == "fp8" and method.get("weight_block_size"):
        found = _widen_fp8(folder, config, method, tensors)
    elif is_mlx(method):
        try:
            found = widen_mlx(config, method, tensors)
        except ValueError as error:
            _refuse(folder, f"is quantised by MLX, and {error}")
    else:
        _refuse(folder, f"is quantised ({str(method.get('quant_method', 'unknown'))[:40]})")
    return plain_config(config), found


def original_name(model_id: str) -> str | None:
    """Return the name of the 16-bit model that a quantised one was made from, if it tells."""
    name = _SUFFIX.sub("", model_id)
    return name if name != model_id else None


def _widen_4bit(folder: Path, tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    states = {m["name"]: t for n, t in tensors.items() if (m := _STATE.fullmatch(n))}
    siblings = {f"{name}.{part}" for name in states for part in _SIBLINGS}
    found: dict[str, StoredTensor] = {}
    for name, tensor in tensors.items():
        if name in states:
            found[name] = _packed_4bit(folder, name, tensors, states[name])
        elif name not in siblings and not _STATE.fullmatch(name):
            found[name] = tensor
    return found


def _packed_4bit(
    folder: Path, name: str, tensors: Mapping[str, StoredTensor], state: StoredTensor
) -> PackedTensor:
    if state.nbytes > 4096:
        _refuse(folder, f"has an impossible quantisation state for {name}")
    with state.file.open("rb") as handle:
        handle.seek(state.offset)
        text = handle.read(state.nbytes)
    try:
        said = parse_json(text)
        shape = tuple(int(n) for n in said["shape"])
        block, dtype = int(said["blocksize"]), DTYPES[said["dtype"]]
        nested_block = int(said.get("nested_blocksize", 0))
        offset = float(said.get("nested_offset", 0.0))
    except (ValueError, KeyError, TypeError) as error:
        _refuse(folder, f"has a malformed quantisation state for {name} ({error})")
    count = math.prod(shape)
    blocks = math.ceil(count / block) if block > 0 else 0
    expected = {"absmax": blocks, "quant_map": 16}
    if nested_block > 0:
        expected |= {
            "nested_absmax": math.ceil(blocks / nested_block),
            "nested_quant_map": 256,
        }
    parts = {part: tensors.get(f"{name}.{part}") for part in expected}
    codes = tensors[name]
    sizes = {p: 0 if t is None else math.prod(t.shape) for p, t in parts.items()}
    if codes.nbytes != math.ceil(count / 2) or sizes != expected:
        _refuse(folder, f"has 4-bit parts of {name} that do not fit together")
    return PackedTensor(
        name=name,
        dtype=dtype,
        shape=shape,
        file=codes.file,
        offset=codes.offset,
        nbytes=tensor_bytes(dtype, shape),
        codes=codes,
        parts=tuple((p, t) for p, t in parts.items() if t is not None),
        block=(block,),
        nested_block=nested_block,
        nested_offset=offset,
    )


def _widen_fp8(
    folder: Path,
    config: Mapping[str, Any],
    method: Mapping[str, Any],
    tensors: Mapping[str, StoredTensor],
) -> dict[str, StoredTensor]:
    block = method["weight_block_size"]
    if not isinstance(block, list) or len(block) != 2 or not all(type(n) is int for n in block):
        _refuse(folder, "has an impossible weight_block_size")
    said = config.get("dtype") or config.get("torch_dtype") or "bfloat16"
    dtype = DTYPES.get(str(said), "BF16")
    found: dict[str, StoredTensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("_scale_inv") and name.removesuffix("_scale_inv") in tensors:
            continue
        if tensor.dtype != "F8_E4M3":
            found[name] = tensor
            continue
        scale = tensors.get(f"{name}_scale_inv")
        wanted = tuple(math.ceil(n / b) for n, b in zip(tensor.shape, block, strict=False))
        if scale is None or len(tensor.shape) != 2 or scale.shape != wanted:
            _refuse(folder, f"has fp8 weights {name} without fitting scales")
        found[name] = PackedTensor(
            name=name,
            dtype=dtype,
            shape=tensor.shape,
            file=tensor.file,
            offset=tensor.offset,
            nbytes=tensor_bytes(dtype, tensor.shape),
            codes=tensor,
            parts=(("scale", scale),),
            block=tuple(block),
        )
    return found


SIXTEEN_BIT = "give the 16-bit model that it was made from; under an adapter: --base PATH_OR_ID"


def _refuse(folder: Path, what: str, following: str = SIXTEEN_BIT) -> NoReturn:
    raise SourceError(
        f"the model in {folder} {what}, and its weights cannot be widened here",
        owner=str(folder / "config.json"),
        safe="nothing was written",
        next=following,
    )
