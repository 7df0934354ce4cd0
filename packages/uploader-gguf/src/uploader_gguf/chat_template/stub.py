"""A file of a few kilobytes with the vocabulary and the chat template of a GGUF.

llama.cpp's server needs a model to start on. What it makes of a conversation depends on the
vocabulary and the template alone, so before the first byte of the real files is written, a model of
one tiny layer of zeros stands for them. The zeros are a hole in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from uploader_gguf.format import gguf_file
from uploader_gguf.format.gguf_file import TensorInfo, padding, string, uint32
from uploader_gguf.format.quants import TensorType

TOKENS = "tokenizer.ggml.tokens"
_WIDTH = 32
# llama.cpp knows some tokenizers by the model's name (``llama_vocab::impl::load``: phi-3, jina).
_COPIED = ("tokenizer.", "general.name")
_ARCHITECTURE = {
    "general.architecture": struct.pack("<I", 8) + string("llama"),
    "llama.block_count": uint32(1),
    "llama.context_length": uint32(1 << 16),
    "llama.embedding_length": uint32(_WIDTH),
    "llama.feed_forward_length": uint32(_WIDTH),
    "llama.attention.head_count": uint32(1),
    "llama.attention.layer_norm_rms_epsilon": struct.pack("<If", 6, 1e-5),
}
_NORMS = ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm")
_SQUARES = (
    *("blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v", "blk.0.attn_output"),
    *("blk.0.ffn_gate", "blk.0.ffn_up", "blk.0.ffn_down"),
)


def write_stub(path: Path, keys: Mapping[str, bytes]) -> None:
    """Write a model that tokenises, and takes a template, like the one with these keys.

    Args:
        path: The file.
        keys: Packed values of the real file, by key.
    """
    tokens = token_count(keys)
    tensors = [
        _tensor("token_embd", (tokens, _WIDTH)),
        *(_tensor(name, (_WIDTH,)) for name in _NORMS),
        *(_tensor(name, (_WIDTH, _WIDTH)) for name in _SQUARES),
    ]
    copied = {key: value for key, value in keys.items() if key.startswith(_COPIED)}
    header = gguf_file.header({**_ARCHITECTURE, **copied}, tensors)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + sum(t.nbytes + padding(t.nbytes) for t in tensors))


def token_count(keys: Mapping[str, bytes]) -> int:
    """Return how many tokens a vocabulary has."""
    return int(struct.unpack_from("<IIQ", keys[TOKENS])[2])


def token_text(keys: Mapping[str, bytes], identifier: int) -> str:
    """Return the text of a token; "" for an id that is none."""
    packed = keys[TOKENS]
    _, _, tokens = struct.unpack_from("<IIQ", packed)
    if identifier >= tokens:
        return ""
    at = struct.calcsize("<IIQ")
    for _ in range(identifier):
        at += 8 + int(struct.unpack_from("<Q", packed, at)[0])
    size = int(struct.unpack_from("<Q", packed, at)[0])
    return packed[at + 8 : at + 8 + size].decode("utf-8", "replace")


def _tensor(name: str, shape: tuple[int, ...]) -> TensorInfo:
    kind = TensorType.F16 if len(shape) > 1 else TensorType.F32
    return TensorInfo(name=f"{name}.weight", shape=shape, kind=kind)
