"""One small model of every way in which transformers names, ties, fuses or leaves out tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import merged_models
from merged_models import SMALL

_ENCODER: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "max_position_embeddings": 64,
}  # fmt: skip
_VISION: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "image_size": 32, "patch_size": 16,
}  # fmt: skip


def _causal(config: str, **more: Any) -> Callable[[Any], Any]:
    return lambda t: t.AutoModelForCausalLM.from_config(getattr(t, config)(**{**SMALL, **more}))


def _plain(model: str, config: str, **more: Any) -> Callable[[Any], Any]:
    return lambda t: getattr(t, model)(getattr(t, config)(**more))


def _llava(t: Any) -> Any:
    vision = t.CLIPVisionConfig(**_VISION)
    text = t.LlamaConfig(**{**SMALL, "vocab_size": 100})
    return t.LlavaForConditionalGeneration(
        t.LlavaConfig(vision_config=vision, text_config=text, image_token_index=99)
    )


def _gemma3_vision(t: Any) -> Any:
    vision = t.SiglipVisionConfig(**_VISION)
    text = t.Gemma3TextConfig(**SMALL, head_dim=16, sliding_window=8)
    config = t.Gemma3Config(
        vision_config=vision, text_config=text, mm_tokens_per_image=4, image_token_index=95
    )
    return t.Gemma3ForConditionalGeneration(config)


def _qwen2_vl(t: Any) -> Any:
    text = {**SMALL, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
    vision = {"depth": 2, "embed_dim": 32, "num_heads": 4, "hidden_size": 64, "mlp_ratio": 2}
    config = t.Qwen2VLConfig(text_config=text, vision_config=vision)
    return t.Qwen2VLForConditionalGeneration(config)


def _t5(t: Any) -> Any:
    return t.T5ForConditionalGeneration(
        t.T5Config(vocab_size=96, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4,
                   decoder_start_token_id=0)
    )  # fmt: skip


def _whisper(t: Any) -> Any:
    return t.WhisperForConditionalGeneration(
        t.WhisperConfig(vocab_size=96, d_model=32, encoder_layers=2, decoder_layers=2,
                        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64,
                        decoder_ffn_dim=64, max_source_positions=64, max_target_positions=64,
                        num_mel_bins=8, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                        decoder_start_token_id=1)
    )  # fmt: skip


MORE: dict[str, Callable[[Any], Any]] = {
    "falcon": _plain("FalconForCausalLM", "FalconConfig", vocab_size=96, hidden_size=32,
                     num_hidden_layers=2, num_attention_heads=4),
    "opt": _plain("OPTForCausalLM", "OPTConfig", vocab_size=96, hidden_size=32, ffn_dim=64,
                  num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64,
                  word_embed_proj_dim=32),
    "starcoder2": _causal("Starcoder2Config"),
    "olmo2": _causal("Olmo2Config"),
    "mamba": _plain("MambaForCausalLM", "MambaConfig", vocab_size=96, hidden_size=32,
                    num_hidden_layers=2, state_size=4),
    "t5": _t5,
    "whisper": _whisper,
    "bert": _plain("BertModel", "BertConfig", **_ENCODER),
    "bert-masked": _plain("BertForMaskedLM", "BertConfig", **_ENCODER),
    "bert-classes": _plain("BertForSequenceClassification", "BertConfig", **_ENCODER,
                           num_labels=3),
    "roberta-masked": _plain("RobertaForMaskedLM", "RobertaConfig", **_ENCODER),
    "llama-reward": _plain("LlamaForSequenceClassification", "LlamaConfig", **SMALL,
                           num_labels=1),
    "llama-tokens": _plain("LlamaForTokenClassification", "LlamaConfig", **SMALL, num_labels=3),
    "llama-bare": _plain("LlamaModel", "LlamaConfig", **SMALL),
    "llava": _llava,
    "gemma3-vision": _gemma3_vision,
    "qwen2-vl": _qwen2_vl,
}  # fmt: skip

OF_MERGING = (
    "llama", "llama-tied", "qwen2", "qwen3", "gemma3", "phi3", "gpt2", "gpt-neox", "mixtral",
    "qwen3-moe", "gpt-oss", "granite-moe", "deepseek-v3",
)  # fmt: skip
KINDS = (*OF_MERGING, *MORE)


def save(kind: str, folder: Path) -> Path:
    """Save a random model of an architecture, as its library does."""
    import transformers

    if kind in OF_MERGING:
        return merged_models.save(kind, folder)
    torch.manual_seed(1)
    MORE[kind](transformers).save_pretrained(folder)
    return folder
