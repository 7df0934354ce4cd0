"""One small model of each architecture that people fine-tune, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gguf_llamas import byte_level_tokenizer, sentencepiece_tokenizer, wordpiece_tokenizer

_gemma_tokenizer = partial(sentencepiece_tokenizer, prefix=False)
_DENSE = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
_MOE = {**_DENSE, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 256}

# Class, configuration, tokenizer.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], Callable[[Path], int]]] = {
    "llama": ("LlamaForCausalLM", _DENSE, sentencepiece_tokenizer),
    "llama3-rope": (
        "LlamaForCausalLM",
        {
            **_DENSE,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
        byte_level_tokenizer,
    ),
    "mistral": ("MistralForCausalLM", _DENSE, sentencepiece_tokenizer),
    "mixtral": (
        "MixtralForCausalLM",
        {**_DENSE, "num_local_experts": 8, "num_experts_per_tok": 2},
        sentencepiece_tokenizer,
    ),
    "qwen2": ("Qwen2ForCausalLM", _DENSE, byte_level_tokenizer),
    "qwen3": ("Qwen3ForCausalLM", {**_DENSE, "head_dim": 32}, byte_level_tokenizer),
    "qwen3-moe": ("Qwen3MoeForCausalLM", {**_MOE, "head_dim": 32}, byte_level_tokenizer),
    "gemma2": ("Gemma2ForCausalLM", {**_DENSE, "head_dim": 16}, _gemma_tokenizer),
    "gemma3": ("Gemma3ForCausalLM", {**_DENSE, "head_dim": 16}, _gemma_tokenizer),
    "phi3": ("Phi3ForCausalLM", {**_DENSE, "pad_token_id": 0}, sentencepiece_tokenizer),
    "gpt2": (
        "GPT2LMHeadModel",
        {"n_embd": 256, "n_layer": 3, "n_head": 4, "n_positions": 128, "n_ctx": 128},
        byte_level_tokenizer,
    ),
    "gpt-neox": (
        "GPTNeoXForCausalLM",
        {k: v for k, v in _DENSE.items() if k != "num_key_value_heads"},
        byte_level_tokenizer,
    ),
    "falcon": (
        "FalconForCausalLM",
        {"hidden_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4, "num_kv_heads": 1},
        byte_level_tokenizer,
    ),
    "starcoder2": ("Starcoder2ForCausalLM", _DENSE, byte_level_tokenizer),
    "olmo2": ("Olmo2ForCausalLM", _DENSE, byte_level_tokenizer),
    "granite": ("GraniteForCausalLM", _DENSE, byte_level_tokenizer),
    "bert": (
        "BertModel",
        {k: v for k, v in _DENSE.items() if k != "num_key_value_heads"},
        wordpiece_tokenizer,
    ),
}


def build(name: str, place: Path) -> Path:
    """Save a model of an architecture with its tokenizer and return the folder."""
    import transformers

    cls, config, tokenizer = ARCHITECTURES[name]
    # Not by its name: llama.cpp looks for tokens of the real Phi-3 in files that are called so.
    folder = place / f"Tiny-{list(ARCHITECTURES).index(name)}"
    folder.mkdir(parents=True)
    model_class = getattr(transformers, cls)
    vocabulary = tokenizer(folder)
    torch.manual_seed(3)
    model = model_class(model_class.config_class(vocab_size=vocabulary, **config))
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder
