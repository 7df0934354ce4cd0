"""Fine-tunes of real size that take no room: true headers, and holes where the weights would be.

What reads headers sees an 8B model; what reads weights would read gigabytes, which tests notice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Shape(NamedTuple):
    """Sizes of a Llama."""

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    kv_heads: int
    tied: bool = False


LLAMA_8B = Shape(128256, 4096, 14336, 32, 32, 8)

Tensors = Mapping[str, tuple[int, ...]]


def write_weights(path: Path, tensors: Tensors, *, dtype: str = "BF16", seed: int | None = None):
    """Write a safetensors file: holes, or random values that nothing can share or compress."""
    width = {"BF16": 2, "F16": 2, "F32": 4}[dtype]
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, shape in tensors.items():
        size = width
        for axis in shape:
            size *= axis
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [position, position + size],
        }
        position += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if seed is None:
            file.truncate(file.tell() + position)
        else:
            _fill(file, tensors, dtype, seed)


def _fill(file, tensors: Tensors, dtype: str, seed: int) -> None:
    import torch

    generator = torch.Generator().manual_seed(seed)
    kind = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}[dtype]
    for name, shape in tensors.items():
        values = torch.randn(shape, generator=generator) * 0.02
        values = torch.ones(shape) if "norm" in name else values
        file.write(values.to(kind).view(torch.uint8).numpy().tobytes())


def linear_layers(shape: Shape) -> dict[str, tuple[int, int]]:
    """Return the matrices of a block by name."""
    head = shape.hidden // shape.heads
    return {
        "self_attn.q_proj": (shape.hidden, shape.hidden),
        "self_attn.k_proj": (shape.kv_heads * head, shape.hidden),
        "self_attn.v_proj": (shape.kv_heads * head, shape.hidden),
        "self_attn.o_proj": (shape.hidden, shape.hidden),
        "mlp.gate_proj": (shape.inner, shape.hidden),
        "mlp.up_proj": (shape.inner, shape.hidden),
        "mlp.down_proj": (shape.hidden, shape.inner),
    }


def write_fine_tune(
    root: Path,
    shape: Shape,
    *,
    rank: int = 16,
    seed: int | None = None,
    adapter_seed: int | None = None,
) -> Path:
    """Write ``base/`` and ``run/final_model/`` and return the latter.

    Args:
        root: New folder.
        shape: Of the base.
        rank: Of the adapter.
        seed: For random weights of both; None leaves holes.
        adapter_seed: For those of the adapter alone.
    """
    base, adapter = root / "base", root / "run" / "final_model"
    base.mkdir(parents=True)
    adapter.mkdir(parents=True)
    _describe(base, shape)
    names: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (shape.vocabulary, shape.hidden)
    }
    lora: dict[str, tuple[int, ...]] = {}
    for layer in range(shape.layers):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            names[f"model.layers.{layer}.{norm}.weight"] = (shape.hidden,)
        for module, (rows, columns) in linear_layers(shape).items():
            names[f"model.layers.{layer}.{module}.weight"] = (rows, columns)
            prefix = f"base_model.model.model.layers.{layer}.{module}"
            lora[f"{prefix}.lora_A.weight"] = (rank, columns)
            lora[f"{prefix}.lora_B.weight"] = (rows, rank)
    names["model.norm.weight"] = (shape.hidden,)
    if not shape.tied:
        names["lm_head.weight"] = (shape.vocabulary, shape.hidden)
    write_weights(base / "model.safetensors", names, seed=seed)
    write_weights(
        adapter / "adapter_model.safetensors",
        lora,
        dtype="F32",
        seed=adapter_seed if seed is None else seed + 1,
    )
    flags = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": 2 * rank,
        "target_modules": sorted({m.split(".")[1] for m in linear_layers(shape)}),
        # Relative, so that copies of the whole are the same.
        "base_model_name_or_path": os.path.relpath(base, adapter),
    }
    (adapter / "adapter_config.json").write_text(json.dumps(flags), "utf-8")
    return adapter


def _describe(folder: Path, shape: Shape) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": shape.tied,
        "torch_dtype": "bfloat16",
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    _write_tokenizer(folder, shape.vocabulary)


def _write_tokenizer(folder: Path, size: int) -> None:
    """Write a byte-level tokenizer of exactly that size: pairs of letters, then triples."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0} | {letter: n for n, letter in enumerate(letters, 1)}
    merges: list[tuple[str, str]] = []
    parts = letters
    while len(vocabulary) < size:
        grown = []
        for left in parts:
            for right in letters[: size - len(vocabulary)]:
                vocabulary[left + right] = len(vocabulary)
                merges.append((left, right))
                grown.append(left + right)
        parts = grown
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    flags = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(flags), "utf-8")
