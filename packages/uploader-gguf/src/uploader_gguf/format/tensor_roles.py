"""What part a tensor has in a model by its name, and what llama.cpp does to each part.

A port of ``tensor_get_category``, ``tensor_allows_quantization`` and ``tensor_requires_imatrix`` of
``src/llama-quant.cpp``, and of the order of tensors in its loader (llama.cpp b10605).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from uploader_gguf.format.quants import Quant
from uploader_gguf.format.quants import TensorType as T
from uploader_gguf.format.shapes import TensorShape

VALUES = ("v", "qkv", "kv_b")
"""Attention values, the part most sensitive to rounding."""

# Names (parts of names) that stay as they are in the F16 file.
_KEEP = (
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_tid2eid.weight",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "indexer.k_proj.weight",
    "indexer.q_proj.weight",
    "time_mix_first.weight",
    *(f"time_mix_{k}{i}.weight" for k in "wva" for i in range(3) if (k, i) != ("a", 0)),
    "time_mix_a0.weight",
    "time_mix_g1.weight",
    "time_mix_g2.weight",
    "time_mix_decay_w1.weight",
    "time_mix_decay_w2.weight",
    "time_mix_lerp_fused.weight",
    "attn_rel_b.weight",
    ".position_embd",
    "sam.pos_embd",
    "sam.neck.",
    "sam.net_",
    ".rel_pos",
    ".patch_embd",
    ".patch_merger",
    "a.rvq.codebook",
    "mm.a.code_embd",
)
_EMBEDDINGS = ("token_embd.weight", "per_layer_token_embd.weight")
_CATEGORIES = (
    ("attn_qkv.weight", "qkv"),
    ("attn_kv_b.weight", "kv_b"),
    ("attn_v.weight", "v"),
    ("attn_k.weight", "k"),
    ("attn_q.weight", "q"),
    ("attn_output.weight", "o"),
    ("ffn_up", "up"),
    ("ffn_gate", "gate"),
    ("ffn_down", "down"),
)


def category(name: str) -> str:
    """Return the broad role of a tensor (``tensor_get_category``)."""
    if name == "output.weight":
        return "output"
    if name in _EMBEDDINGS:
        return "embedding"
    return next((role for part, role in _CATEGORIES if part in name), "other")


def allows_quantization(tensor: TensorShape) -> bool:
    """Return whether ``llama-quantize`` would touch this tensor at all."""
    name = tensor.name
    return (
        tensor.dims >= 2
        and name.endswith("weight")
        and name not in ("position_embd.weight", "token_types.weight")
        and not any(part in name for part in _KEEP)
    )


def requires_imatrix(name: str, kind: T, quant: Quant) -> bool:
    """Return whether this type is garbage without an importance matrix."""
    if category(name) in ("embedding", "output"):
        return False
    if kind is T.Q2_K:
        return quant.name == "Q2_K_S"
    return kind in (T.IQ3_XXS, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ1_M, T.IQ1_S)


def quantizer_order(names: Iterable[str]) -> list[str]:
    """Sort names as llama.cpp's loader does; the rules count layers in this order."""

    def key(name: str) -> tuple[int, bytes]:
        block = re.match(r"blk\.(\d+)\.", name)
        return (int(block[1]) if block else -1, name.encode())

    return sorted(names, key=key)
