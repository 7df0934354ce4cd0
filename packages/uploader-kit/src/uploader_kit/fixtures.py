"""A tiny real model and a LoRA on it, written with the standard library alone.

They are what trainers save: ``transformers`` loads the model and generates with it, ``peft`` loads
the adapter. No library is needed to make them, so a plugin's tests need none either.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

HIDDEN, INTERMEDIATE, LAYERS, HEADS, KEY_HEADS, RANK = 64, 128, 2, 4, 2, 4
Shape = tuple[int, ...]


def write_safetensors(path: Path, shapes: Mapping[str, Shape], *, seed: int, scale: float) -> None:
    """Write normally distributed bfloat16 tensors.

    Args:
        path: Final name.
        shapes: Shape of each tensor by name; 1-D tensors are filled with ones.
        seed: The same seed gives the same bytes.
        scale: Standard deviation.
    """
    rng = random.Random(seed)  # noqa: S311 - weights, not keys
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, shape in shapes.items():
        count = 1
        for length in shape:
            count *= length
        begin = len(data)
        for _ in range(count):
            value = 1.0 if len(shape) == 1 else rng.gauss(0, scale)
            data += struct.pack("<f", value)[2:]  # bfloat16 is the upper half of a float32
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def make_model(folder: Path) -> Path:
    """Save a Llama of two layers with a byte-level tokenizer, about 100,000 parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = make_tokenizer(folder)
    key_size = HIDDEN // HEADS * KEY_HEADS
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (vocabulary, HIDDEN)}
    for layer in range(LAYERS):
        root = f"model.layers.{layer}."
        shapes |= {
            root + "input_layernorm.weight": (HIDDEN,),
            root + "mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
            root + "mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
            root + "mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
            root + "post_attention_layernorm.weight": (HIDDEN,),
            root + "self_attn.k_proj.weight": (key_size, HIDDEN),
            root + "self_attn.o_proj.weight": (HIDDEN, HIDDEN),
            root + "self_attn.q_proj.weight": (HIDDEN, HIDDEN),
            root + "self_attn.v_proj.weight": (key_size, HIDDEN),
        }
    shapes |= {"model.norm.weight": (HIDDEN,), "lm_head.weight": (vocabulary, HIDDEN)}
    write_safetensors(folder / "model.safetensors", shapes, seed=7, scale=0.1)
    _write(
        folder / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": vocabulary,
            "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KEY_HEADS,
            "head_dim": HIDDEN // HEADS,
            "max_position_embeddings": 256,
            "rms_norm_eps": 1e-6,
            "rope_theta": 10000.0,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
        },
    )
    return folder


def make_adapter(folder: Path, base: Path) -> Path:
    """Save a LoRA of rank 4 on the attention of :func:`make_model`."""
    folder.mkdir(parents=True, exist_ok=True)
    modules = {"q_proj": HIDDEN, "v_proj": HIDDEN // HEADS * KEY_HEADS}
    shapes: dict[str, Shape] = {}
    for layer in range(LAYERS):
        for module, size in modules.items():
            root = f"base_model.model.model.layers.{layer}.self_attn.{module}."
            shapes |= {
                root + "lora_A.weight": (RANK, HIDDEN),
                root + "lora_B.weight": (size, RANK),
            }
    write_safetensors(folder / "adapter_model.safetensors", shapes, seed=11, scale=0.1)
    make_tokenizer(folder)
    _write(
        folder / "adapter_config.json",
        {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": str(base),
            "r": RANK,
            "lora_alpha": 8,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "target_modules": [*modules],
            "inference_mode": True,
        },
    )
    return folder


def make_tokenizer(folder: Path) -> int:
    """Save a byte-level BPE tokenizer with a few merges; return the size of its vocabulary."""
    symbols = _byte_symbols()
    special = ["<s>", "</s>"]
    merges = [("t", "h"), ("th", "e"), ("i", "n"), ("e", "r"), ("Ġ", "the"), ("a", "n")]
    merged = [left + right for left, right in merges]
    tokens = {token: n for n, token in enumerate([*special, *symbols, *merged])}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    byte_level["use_regex"] = True
    _write(
        folder / "tokenizer.json",
        {
            "version": "1.0",
            "added_tokens": [
                {
                    "id": n,
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for n, token in enumerate(special)
            ],
            "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": None,
            "decoder": byte_level,
            "model": {"type": "BPE", "vocab": tokens, "merges": [*map(list, merges)]},
        },
    )
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 256,
        },
    )
    return len(tokens)


def _byte_symbols() -> Sequence[str]:
    """Return GPT-2's printable stand-in for each byte, in the order of the bytes."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    beyond = iter(range(256, 512))
    return [chr(byte if byte in printable else next(beyond)) for byte in range(256)]


def _write(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False), "utf-8")
