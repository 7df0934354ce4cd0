"""One small model of every architecture that the tests quantise; columns are whole groups."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MOE = {"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 128}

KINDS = (
    "llama", "qwen2-tied", "llama-biased", "qwen3", "gemma3", "phi3", "mixtral", "qwen3-moe",
    "qwen2-vl", "granite-moe", "llama4",
)  # fmt: skip


EXPERTS = ("mixtral", "qwen3-moe")
UNREAD = ("w8a8", "nvfp4a16", "fp8-block")
"""Schemes of experts that transformers does not read; the plan refuses them."""

FOR_VLLM = ("granite-moe",)
"""Models whose experts transformers does not read when they are compressed; the plan says so."""


def build(kind: str) -> Any:
    """Return a random model of an architecture."""
    import transformers as t

    model: Any = None
    match kind:
        case "llama":
            config: Any = t.LlamaConfig(**SMALL, tie_word_embeddings=False)
        case "llama-biased":
            config = t.LlamaConfig(
                **SMALL, tie_word_embeddings=False, attention_bias=True, mlp_bias=True
            )
        case "qwen2-tied":
            config = t.Qwen2Config(**SMALL, tie_word_embeddings=True)
        case "qwen3":
            config = t.Qwen3Config(**SMALL, head_dim=32, tie_word_embeddings=False)
        case "gemma2":
            config = t.Gemma2Config(**SMALL, head_dim=32, query_pre_attn_scalar=32)
        case "gemma3":
            kinds = ["sliding_attention", "full_attention"]
            config = t.Gemma3TextConfig(**SMALL, head_dim=32, sliding_window=8, layer_types=kinds)
        case "gemma3-eyes":
            kinds = ["sliding_attention", "full_attention"]
            text = {**SMALL, "head_dim": 32, "sliding_window": 8, "layer_types": kinds}
            vision = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
                      "intermediate_size": 128, "image_size": 28, "patch_size": 14}  # fmt: skip
            config = t.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
            torch.manual_seed(1)
            model = t.Gemma3ForConditionalGeneration(config)
        case "phi3":
            config = t.Phi3Config(**SMALL)
        case "mixtral":
            config = t.MixtralConfig(**SMALL, num_local_experts=3, num_experts_per_tok=2)
        case "qwen3-moe":
            config = t.Qwen3MoeConfig(**SMALL, **MOE, head_dim=32, tie_word_embeddings=False)
        case "qwen2-vl":
            rope = {"type": "mrope", "mrope_section": [4, 6, 6]}
            vision = {"depth": 1, "embed_dim": 64, "hidden_size": 128, "num_heads": 4,
                      "mlp_ratio": 2, "patch_size": 14}  # fmt: skip
            config = t.Qwen2VLConfig(
                text_config={**SMALL, "rope_scaling": rope}, vision_config=vision,
                tie_word_embeddings=False,
            )  # fmt: skip
            torch.manual_seed(1)
            model = t.Qwen2VLForConditionalGeneration(config)
        case "granite-moe":
            # Fused on disk, (expert, out, in).
            config = t.GraniteMoeConfig(**SMALL, num_local_experts=3, num_experts_per_tok=2)
        case "llama4":
            # Fused on disk, (expert, in, out).
            config = t.Llama4TextConfig(
                **SMALL, intermediate_size_mlp=256, head_dim=32, num_local_experts=3,
                num_experts_per_tok=1, interleave_moe_layer_step=1,
            )  # fmt: skip
        case _:
            raise ValueError(kind)
    torch.manual_seed(1)
    model = model or t.AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():
        # Norms and biases that are all ones or zeros would hide a mistake.
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


def save(kind: str, folder: Path, dtype: torch.dtype = torch.bfloat16) -> Path:
    build(kind).to(dtype).save_pretrained(folder)
    return folder


def model_class(kind: str) -> Any:
    import transformers as t

    return t.Qwen2VLForConditionalGeneration if kind == "qwen2-vl" else t.AutoModelForCausalLM


def train(kind: str, base: Path, folder: Path) -> Path:
    """Save a LoRA on the attention whose every parameter is as if training had moved it."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(2)
    model = model_class(kind).from_pretrained(base, dtype="auto")
    names = "qkv_proj" if kind == "phi3" else "q_proj|k_proj|v_proj"
    modules = rf"^(?!.*vis(ual|ion)).*({names}|o_proj)$"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=13, target_modules=modules))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder
