"""One small model of every architecture that the tests merge into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def build(kind: str) -> Any:
    """Return a random model of an architecture."""
    import transformers as t

    config: Any
    match kind:
        case "llama":
            config = t.LlamaConfig(**SMALL, tie_word_embeddings=False, attention_bias=True)
        case "llama-tied":
            config = t.LlamaConfig(**SMALL, tie_word_embeddings=True)
        case "mistral":
            config = t.MistralConfig(**SMALL, head_dim=16)
        case "qwen2":
            config = t.Qwen2Config(**SMALL, tie_word_embeddings=True)
        case "qwen3":
            config = t.Qwen3Config(**SMALL, head_dim=16, tie_word_embeddings=False)
        case "gemma3":
            config = t.Gemma3TextConfig(**SMALL, head_dim=16, sliding_window=8)
        case "phi3":
            config = t.Phi3Config(**SMALL)
        case "gpt2":
            config = t.GPT2Config(
                vocab_size=96, n_embd=64, n_layer=2, n_head=4, n_positions=64,
                bos_token_id=1, eos_token_id=2,
            )  # fmt: skip
        case "falcon":  # multiplies without a linear layer
            config = t.FalconConfig(
                vocab_size=96, hidden_size=64, num_hidden_layers=2, num_attention_heads=4
            )
        case "mamba":
            config = t.MambaConfig(vocab_size=96, hidden_size=64, num_hidden_layers=2)
        case "ctrl":  # the head is tied, and has a bias
            config = t.CTRLConfig(
                vocab_size=96, n_embd=64, n_layer=2, n_head=4, n_positions=64, dff=128
            )
        case "llama4":  # asks where its embedding is
            config = t.Llama4TextConfig(
                **SMALL, head_dim=16, num_local_experts=4, intermediate_size_mlp=128
            )
        case "gpt-neox":
            config = t.GPTNeoXConfig(
                **{k: v for k, v in SMALL.items() if k != "num_key_value_heads"},
                tie_word_embeddings=False,
            )
        case "mixtral":
            config = t.MixtralConfig(**SMALL, num_local_experts=4, num_experts_per_tok=2)
        case "qwen3-moe":
            config = t.Qwen3MoeConfig(
                **SMALL, head_dim=16, num_experts=4, num_experts_per_tok=2,
                moe_intermediate_size=40, tie_word_embeddings=False,
            )  # fmt: skip
        case "square-moe":
            config = t.Qwen3MoeConfig(
                **SMALL, head_dim=16, num_experts=3, num_experts_per_tok=2,
                moe_intermediate_size=32, tie_word_embeddings=False,
            )  # fmt: skip
        case "gpt-oss":
            config = t.GptOssConfig(
                **{**SMALL, "intermediate_size": 40}, head_dim=16, num_local_experts=4,
                num_experts_per_tok=2,
            )  # fmt: skip
        case "granite-moe":
            config = t.GraniteMoeConfig(**SMALL, num_local_experts=4, num_experts_per_tok=2)
        case "deepseek-v3":
            config = t.DeepseekV3Config(
                **{**SMALL, "num_key_value_heads": 4}, moe_intermediate_size=40,
                n_routed_experts=4, num_experts_per_tok=2, n_group=2, topk_group=1,
                first_k_dense_replace=1, q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8,
                qk_nope_head_dim=8, v_head_dim=16,
            )  # fmt: skip
        case _:
            raise ValueError(kind)
    torch.manual_seed(1)
    model = t.AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        # Norms and biases that are all ones or zeros would hide a mistake.
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


def save(kind: str, folder: Path, dtype: torch.dtype = torch.bfloat16) -> Path:
    build(kind).to(dtype).save_pretrained(folder)
    return folder
