"""Sizes of GGUF files from a checkpoint's headers, without llama.cpp's converter.

The converter's own table of names needs torch and seconds. For counting, it is enough to know the
role of each tensor: names are translated roughly, and then the same rules as in the step choose the
types. What is not recognised counts as an ordinary matrix.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path

from uploader_core.plugin import RefusedError
from uploader_gguf.format.gguf_file import padding
from uploader_gguf.format.mixture import select_types
from uploader_gguf.format.quants import Quant, TensorType
from uploader_gguf.format.shapes import ModelShape, TensorShape
from uploader_gguf.format.tensor_roles import allows_quantization
from uploader_gguf.llama_cpp.weights import Weights
from uploader_lora import read_tokenizer

# Parts of Hugging Face names, and the role in GGUF names. First match wins.
_ROLES: tuple[tuple[str, str], ...] = (
    (r"(embed_tokens|wte|word_embeddings|tok_embeddings|embed_in)\.weight$", "token_embd.weight"),
    (r"^(lm_head|embed_out|output)\.weight$", "output.weight"),
    (r"(wpe|position_embeddings|embed_positions)\.weight$", "position_embd.weight"),
    (r"token_type_embeddings\.weight$", "token_types.weight"),
    (r"(norm\w*|ln_\w+|layernorm)\.weight$", "x_norm.weight"),
    (r"(qkv_proj|query_key_value|c_attn|W_pack|Wqkv|qkv)\.weight$", "attn_qkv.weight"),
    (r"(q_proj|wq|query|q_lin)\.weight$", "attn_q.weight"),
    (r"(k_proj|wk|key|k_lin)\.weight$", "attn_k.weight"),
    (r"(v_proj|wv|value|v_lin)\.weight$", "attn_v.weight"),
    (r"kv_b_proj\.weight$", "attn_kv_b.weight"),
    (r"(mlp|block_sparse_moe|feed_forward)\.(gate|router)\.weight$", "ffn_gate_inp.weight"),
    (r"attention\.output\.dense\.weight$", "attn_output.weight"),
    (r"intermediate\.dense\.weight$", "ffn_up.weight"),
    (r"output\.dense\.weight$", "ffn_down.weight"),
    (r"(down_proj|w2|fc2|dense_4h_to_h|mlp\.c_proj)(\.weight)?$", "ffn_down.weight"),
    (r"(gate_up_proj|up_proj|w3|fc1|c_fc|dense_h_to_4h)(\.weight)?$", "ffn_up.weight"),
    (r"(gate_proj|w1)(\.weight)?$", "ffn_gate.weight"),
    (r"(o_proj|out_proj|wo|attn\.c_proj|attention\.dense)\.weight$", "attn_output.weight"),
)
_WHOLE_MODEL = ("token_embd.weight", "output.weight", "position_embd.weight", "token_types.weight")
_LEFT_OUT = ("pooler.dense",)  # the converter writes no such tensors
_IN_BLOCKS = ("token_embd.weight", "output.weight")  # read row by row, never as a whole
_NOT_TEXT = ("vision", "visual.", "audio", "multi_modal_projector", "mm_projector", "patch_embed")

# Millions of values each second of one thread (two-year-old server cores).
_FAST = {
    TensorType.Q4_0: 1800.0,
    TensorType.Q5_0: 1800.0,
    TensorType.Q8_0: 600.0,
    TensorType.Q2_K: 130.0,
    TensorType.Q3_K: 190.0,
    TensorType.Q4_K: 110.0,
    TensorType.Q5_K: 140.0,
    TensorType.Q6_K: 250.0,
    TensorType.IQ4_NL: 100.0,
    TensorType.IQ4_XS: 110.0,
    TensorType.IQ3_S: 18.0,
    TensorType.IQ3_XXS: 11.0,
}
"""With the fast kernels, which know these types."""

_STOCK = {
    TensorType.Q4_K: 8.4,
    TensorType.Q5_K: 10.6,
    TensorType.Q6_K: 21.0,
    TensorType.Q2_K: 10.8,
    TensorType.Q3_K: 60.0,
    TensorType.Q8_0: 190.0,
}
_OTHER_SPEED = 400.0
_IQ_SPEED = 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """A model as far as sizes go.

    Attributes:
        tensors: By an invented name that has the right role.
        model: For the rules.
        header: Bytes of keys and vocabulary, about.
        largest: Bytes of the largest tensor that may be held as a whole.
    """

    tensors: dict[str, TensorShape]
    model: ModelShape
    header: int
    largest: int


def describe(weights: Weights) -> Described:
    """Read headers and small files; no weights."""
    config = dict(weights.config)
    text = config.get("text_config")
    if isinstance(text, dict):
        config = {**config, **text}

    def number(*keys: str) -> int:
        return next((int(config[k]) for k in keys if isinstance(config.get(k), int)), 0)

    tensors: dict[str, TensorShape] = {}
    largest = 0
    for index, name in enumerate(weights.names):
        if any(part in name for part in (*_NOT_TEXT, *_LEFT_OUT)):
            continue
        shape = weights.shape(name)
        ours = _translate(name, index)
        plain = len(shape) < 2 or not ours.endswith("weight") or ours.endswith("_norm.weight")
        kept = plain or "ffn_gate_inp" in ours or ours in _WHOLE_MODEL[2:]
        stored = TensorType.F32 if kept else TensorType.F16
        tensors[ours] = TensorShape(name=ours, shape=shape, stored=stored)
        if ours not in _IN_BLOCKS:
            largest = max(largest, 2 * prod(shape))
    heads = number("num_attention_heads", "n_head")
    width = number("hidden_size", "n_embd")
    rope = config.get("rope_parameters") or config.get("rope_scaling")
    if isinstance(rope, dict) and rope.get("rope_type", rope.get("type")) == "llama3" and heads:
        # Factors of the positions, which the converter computes into a tensor.
        half = (number("head_dim") or width // heads) // 2
        name = "rope_freqs.weight"
        tensors[name] = TensorShape(name=name, shape=(half,), stored=TensorType.F32)
    model = ModelShape(
        architecture=str(config.get("model_type", "")),
        layers=number("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
        experts=number("num_local_experts", "num_experts", "n_routed_experts"),
        heads=heads,
        kv_heads=number("num_key_value_heads", "n_kv_heads", "num_kv_heads") or heads,
    )
    header = 1536 + 64 * len(tensors) + _vocabulary(weights, number("vocab_size"))
    return Described(tensors=tensors, model=model, header=header, largest=largest)


def _translate(name: str, index: int) -> str:
    """Return an invented name with the right role; ``index`` keeps experts apart."""
    block = re.search(r"\.(\d+)\.", f".{name}")
    prefix = f"blk.{block[1]}.{index}." if block else f"{index}."
    for pattern, role in _ROLES:
        if re.search(pattern, name):
            return role if role in _WHOLE_MODEL else prefix + role
    return prefix + ("other.weight" if name.endswith("weight") else "other")


def _vocabulary(weights: Weights, count: int) -> int:
    """Return the bytes that tokens, their types and merges take in a file, about."""
    files = weights.auxiliary()
    if "tokenizer.json" in files:
        return _from_json(files["tokenizer.json"], count)
    if "tokenizer.model" in files:
        # Pieces with scores there; here with a length of eight bytes, a score and a type.
        return files["tokenizer.model"].stat().st_size + 10 * count
    return 20 * count


def _from_json(path: Path, count: int) -> int:
    stat = path.stat()
    return _count_json(path, count, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _count_json(path: Path, count: int, *_stamp: int) -> int:
    model = read_tokenizer(path).get("model") or {}
    vocabulary = model.get("vocab") or {}
    tokens = vocabulary if isinstance(vocabulary, dict) else [piece for piece, _ in vocabulary]
    size = sum(len(token.encode("utf-8")) for token in tokens)
    # "[PAD151643]" fills what the matrix has more than the tokenizer.
    size += 12 * max(0, count - len(tokens)) + (8 + 4) * max(count, len(tokens))
    for merge in model.get("merges") or []:
        text = merge if isinstance(merge, str) else " ".join(merge)
        size += 8 + len(text.encode("utf-8"))
    return size


def types(described: Described, quant: Quant) -> dict[str, TensorType]:
    """Return the type of every tensor in a file of a kind."""
    if quant.name in ("F32", "F16", "BF16", "Q8_0"):
        chosen = {}
        for name, tensor in described.tensors.items():
            wanted = quant.default if tensor.stored is TensorType.F16 else TensorType.F32
            chosen[name] = TensorType.F16 if tensor.shape[-1] % wanted.block else wanted
        return chosen
    return select_types(quant, described.tensors, described.model)


def file_bytes(described: Described, quant: Quant) -> int:
    """Return the size of a file of a kind, about."""
    try:
        chosen = types(described, quant)
    except RefusedError:
        return 0  # the step says why
    data = 0
    for name, tensor in described.tensors.items():
        size = chosen[name].nbytes(tensor.shape)
        data += size + padding(size)
    return described.header + data


def imatrix_bytes(described: Described) -> int:
    """Return the size of an importance matrix that is computed, about and rather too large."""
    total = 1024
    for tensor in described.tensors.values():
        if len(tensor.shape) > 1 and allows_quantization(tensor):
            experts = prod(tensor.shape[:-2])
            # Sums and counts, with a name each, as the file pads them.
            total += 4 * experts * tensor.shape[-1] + 4 * experts + 2 * (96 + 32)
    return total


def projector_bytes(weights: Weights, quant: Quant) -> int:
    """Return the size of the file with the encoder of images and sound, about."""
    total = 4096
    for name in weights.names:
        shape = weights.shape(name)
        if any(part in name for part in _NOT_TEXT):
            # Kernels of convolutions and positions stay in F32.
            matrix = len(shape) == 2 and "embedding" not in name
            fits = matrix and shape[-1] % quant.default.block == 0
            total += (quant.default if fits else TensorType.F32).nbytes(shape)
    return total


def seconds(described: Described, quant: Quant, *, fast: bool) -> float:
    """Return the seconds that one thread needs for a file of a kind, about.

    Args:
        described: The model.
        quant: The kind.
        fast: By the fast kernels, where they know a type.
    """
    try:
        chosen = types(described, quant)
    except RefusedError:
        return 0.0
    total = 0.0
    speed = {**_STOCK, **_FAST} if fast else _STOCK
    for name, tensor in described.tensors.items():
        if allows_quantization(tensor):
            kind = chosen[name]
            slow = _IQ_SPEED if kind.name.startswith("IQ") else _OTHER_SPEED
            total += prod(tensor.shape) / 1e6 / speed.get(kind, slow)
    return total
