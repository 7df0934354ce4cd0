"""Bases that mlx-lm quantised: whole numbers with scale and bias, or small floats. No torch.

Only names that transformers has as well are read. Experts, which mlx-lm stacks in an order of its
own, and architectures whose tensors it turns or splits, have others, and the folder is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from uploader_lora import StoredTensor, tensor_bytes
from uploader_merged.base.packed_tensor import DTYPES, PackedTensor

_MODES = {"affine": None, "mxfp4": (4, 32), "mxfp8": (8, 32), "nvfp4": (4, 16)}
"""Bits and columns of a group, of those that leave no choice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MlxTensor(PackedTensor):
    """A weight that is stored as codes, packed into 32-bit words.

    Attributes:
        bits: Of a code.
        mode: mlx's word: ``affine`` for whole numbers with scale and bias.
    """

    bits: int
    mode: str


def is_mlx(method: Mapping[str, Any]) -> bool:
    """Return whether a ``quantization_config`` is mlx-lm's."""
    return "quant_method" not in method and {"bits", "group_size"} <= method.keys()


def widen_mlx(
    config: Mapping[str, Any], method: Mapping[str, Any], tensors: Mapping[str, StoredTensor]
) -> dict[str, StoredTensor]:
    """Return the tensors of a model of mlx-lm as those of a 16-bit one.

    Args:
        config: ``config.json``.
        method: Its ``quantization_config``.
        tensors: As they are stored.

    Raises:
        ValueError: Parts do not fit together, or have no counterpart; the text says which.
    """
    said = config.get("dtype") or config.get("torch_dtype") or "bfloat16"
    dtype = DTYPES.get(str(said), "BF16")
    found: dict[str, StoredTensor] = {}
    for name, tensor in tensors.items():
        module, _, end = name.rpartition(".")
        if end in ("scales", "biases") and tensors.get(f"{module}.weight") is not None:
            continue
        if ".switch_mlp." in name:
            raise ValueError(f"has experts as mlx-lm stacks them ({name})")
        scales = tensors.get(f"{module}.scales") if end == "weight" else None
        if scales is None:
            found[name] = tensor
        else:
            own = method.get(module)
            how = own if isinstance(own, dict) else method
            found[name] = _packed(tensor, scales, tensors.get(f"{module}.biases"), how, dtype)
    return found


def _packed(
    codes: StoredTensor,
    scales: StoredTensor,
    biases: StoredTensor | None,
    how: Mapping[str, Any],
    dtype: str,
) -> MlxTensor:
    mode = str(how.get("mode") or "affine")
    if mode not in _MODES:
        raise ValueError(f"is quantised in a mode that is not known here ({mode})")
    bits, group = _MODES[mode] or (int(how.get("bits") or 4), int(how.get("group_size") or 64))
    *outer, words = codes.shape
    columns = words * 32 // bits
    shape = (*outer, columns)
    wanted = (*outer, columns // group)
    affine = mode == "affine"
    fits = codes.dtype == "U32" and scales.shape == wanted and columns % group == 0
    if affine:
        fits = fits and biases is not None and biases.shape == wanted
        dtype = scales.dtype
    elif scales.dtype != "U8" or biases is not None:
        fits = False
    if not fits:
        raise ValueError(f"has codes and scales of {codes.name} that do not fit together")
    parts = (("scales", scales), *((("biases", biases),) if biases is not None else ()))
    return MlxTensor(
        name=codes.name,
        dtype=dtype,
        shape=shape,
        file=codes.file,
        offset=codes.offset,
        nbytes=tensor_bytes(dtype, shape),
        codes=codes,
        parts=parts,
        block=(group,),
        bits=bits,
        mode=mode,
    )
