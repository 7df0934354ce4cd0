"""Base models of the sound folders, in a cache of the Hub, as publishers saved them.

Most models on the Hub were saved by transformers 4: the configuration says ``torch_dtype`` and
``rope_theta``, and :mod:`sound_tokenizers` has what it left of tokenizers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sound_files import edit, snapshot_of, write
from sound_tokenizers import (
    CHATML,
    GEMMA_TEMPLATE,
    LLAMA_TEMPLATE,
    MISTRAL_TEMPLATE,
    TEXT,
    byte_level,
    sentencepiece,
)

_SIZE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def _card(folder: Path, licence: str) -> None:
    text = (
        f"---\nlicense: {licence}\nlanguage:\n- en\npipeline_tag: text-generation\n---\n\n# Tiny\n"
    )
    (folder / "README.md").write_text(text)


def _save(folder: Path, cls: str, config: Any, *, shard: str = "5GB", legacy: bool = True) -> None:
    """Save a model with random weights, and its configuration as transformers 4 writes it."""
    import torch
    import transformers

    torch.manual_seed(7)
    model = getattr(transformers, cls)(config)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=shard)
    path = folder / "config.json"
    if legacy:
        rope = json.loads(path.read_text("utf-8")).get("rope_parameters") or {}
        theta = {"rope_theta": rope["rope_theta"]} if "rope_theta" in rope else {}
        edit(path, dtype=None, torch_dtype="bfloat16", rope_parameters=None,
              transformers_version="4.46.3", **theta)  # fmt: skip


def llama() -> None:
    """Like Llama 3: two matrices at the ends, several ends of a text, reserved tokens."""
    from transformers import LlamaConfig

    folder = snapshot_of("tiny-lab/Llama-Tiny-Instruct")
    names = [
        "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
        "<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
        "<|eot_id|>",
    ]  # fmt: skip
    size = byte_level(
        folder, "{1,3}", names, tokenizer_class="PreTrainedTokenizerFast",
        bos_token=names[0], eos_token=names[-1], chat_template=LLAMA_TEMPLATE,
        clean_up_tokenization_spaces=True,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip
    first = size - len(names)
    ends = [first + 1, first + 6, first + 7]
    config = LlamaConfig(
        **_SIZE, vocab_size=size, bos_token_id=first, eos_token_id=ends, tie_word_embeddings=False
    )
    _save(folder, "LlamaForCausalLM", config)
    write(folder / "generation_config.json", {
        "bos_token_id": first, "do_sample": True, "eos_token_id": ends, "temperature": 0.6,
        "top_p": 0.9, "transformers_version": "4.45.0.dev0",
    })  # fmt: skip
    _card(folder, "llama3.2")


def qwen() -> None:
    """Like Qwen 2.5: tied, and more rows than tokens."""
    from transformers import Qwen2Config

    folder = snapshot_of("tiny-lab/Qwen-Tiny-Instruct")
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_pad|>"]
    size = byte_level(
        folder, "", names, tokenizer_class="Qwen2Tokenizer", bos_token=None,
        eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None,
        chat_template=CHATML, add_prefix_space=False, split_special_tokens=False,
        additional_special_tokens=names[1:],
    )  # fmt: skip
    first = size - len(names)
    rows = -(-size // 64) * 64
    config = Qwen2Config(
        **_SIZE, vocab_size=rows, bos_token_id=first, eos_token_id=first + 2,
        tie_word_embeddings=True,
    )  # fmt: skip
    _save(folder, "Qwen2ForCausalLM", config)
    write(folder / "generation_config.json", {
        "bos_token_id": first, "pad_token_id": first, "do_sample": True,
        "eos_token_id": [first + 2, first], "repetition_penalty": 1.1, "temperature": 0.7,
        "top_p": 0.8, "top_k": 20, "transformers_version": "4.37.0",
    })  # fmt: skip
    _card(folder, "apache-2.0")


def qwen_embedding() -> None:
    """Like Qwen3-Embedding: the body alone, pooled at its last token, with prompts."""
    from transformers import Qwen3Config

    folder = snapshot_of("tiny-lab/Qwen-Tiny-Embedding")
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    size = byte_level(
        folder, "", names, tokenizer_class="Qwen2Tokenizer", bos_token=None,
        eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None,
        additional_special_tokens=names[1:],
    )  # fmt: skip
    first = size - len(names)
    config = Qwen3Config(
        **_SIZE, vocab_size=size, head_dim=16, bos_token_id=first, eos_token_id=first,
        tie_word_embeddings=True,
    )  # fmt: skip
    _save(folder, "Qwen3Model", config)
    (folder / "1_Pooling").mkdir()
    write(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 64, "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": True,
        "include_prompt": True,
    })  # fmt: skip
    kinds = ("Transformer", "Pooling", "Normalize")
    write(folder / "modules.json", [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "",
         "type": f"sentence_transformers.models.{kind}"} for n, kind in enumerate(kinds)
    ])  # fmt: skip
    write(folder / "config_sentence_transformers.json", {
        "prompts": {"query": "Instruct: find it\nQuery:", "document": ""},
        "default_prompt_name": None, "similarity_fn_name": "cosine",
    })  # fmt: skip
    _card(folder, "apache-2.0")


def mistral() -> None:
    """Like Mistral 7B: sentencepiece, and weights in shards."""
    from transformers import MistralConfig

    folder = snapshot_of("tiny-lab/Mistral-Tiny-Instruct")
    size = sentencepiece(
        folder, gemma=False, special=["[INST]", "[/INST]"], template=MISTRAL_TEMPLATE
    )
    config = MistralConfig(
        **_SIZE, vocab_size=size, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
        sliding_window=None,
    )  # fmt: skip
    _save(folder, "MistralForCausalLM", config, shard="150KB")
    write(folder / "generation_config.json",
           {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2})  # fmt: skip
    _card(folder, "apache-2.0")


def gemma_vision() -> None:
    """Like Gemma 3 4B: a language model and an encoder of images, with a processor."""
    from transformers import Gemma3Config

    folder = snapshot_of("tiny-lab/Gemma-Tiny-Vision")
    special = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
               "<image_soft_token>"]  # fmt: skip
    size = sentencepiece(folder, gemma=True, special=special, template=GEMMA_TEMPLATE)
    config = Gemma3Config(
        text_config={**_SIZE, "vocab_size": size, "head_dim": 16, "sliding_window": 64},
        vision_config={**_VISION, "image_size": 56, "patch_size": 14, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=6, eoi_token_index=7, image_token_index=8, eos_token_id=[1, 5],
    )  # fmt: skip
    _save(folder, "Gemma3ForConditionalGeneration", config, legacy=False)
    edit(folder / "tokenizer_config.json", processor_class="Gemma3Processor",
          boi_token="<start_of_image>", eoi_token="<end_of_image>",
          image_token="<image_soft_token>")  # fmt: skip
    write(folder / "generation_config.json", {
        "bos_token_id": 2, "cache_implementation": "hybrid", "do_sample": True,
        "eos_token_id": [1, 5], "pad_token_id": 0, "top_k": 64, "top_p": 0.95,
        "transformers_version": "4.50.0.dev0",
    })  # fmt: skip
    write(folder / "preprocessor_config.json", {
        "do_convert_rgb": None, "do_normalize": True, "do_pan_and_scan": None,
        "do_rescale": True, "do_resize": True, "image_mean": [0.5] * 3,
        "image_processor_type": "Gemma3ImageProcessor", "image_seq_length": 4,
        "image_std": [0.5] * 3, "processor_class": "Gemma3Processor", "resample": 2,
        "rescale_factor": 0.00392156862745098, "size": {"height": 56, "width": 56},
    })  # fmt: skip
    write(folder / "processor_config.json",
           {"image_seq_length": 4, "processor_class": "Gemma3Processor"})  # fmt: skip
    _card(folder, "gemma")


def qwen_vision() -> None:
    """Like Qwen2-VL 2B; llama.cpp numbers the merger's layers within the depth of the encoder."""
    from transformers import Qwen2VLConfig

    folder = snapshot_of("tiny-lab/Qwen2-VL-Tiny")
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
             "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]  # fmt: skip
    size = byte_level(
        folder, "", names, tokenizer_class="Qwen2Tokenizer", bos_token=None,
        eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None,
        chat_template=CHATML, additional_special_tokens=names[1:],
    )  # fmt: skip
    first = size - len(names)
    config = Qwen2VLConfig(
        text_config={
            **_SIZE, "vocab_size": size, "bos_token_id": first, "eos_token_id": first + 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6,
                                "mrope_section": [2, 3, 3]},
            "tie_word_embeddings": True,
        },
        vision_config={"embed_dim": 32, "depth": 4, "num_heads": 2, "hidden_size": 64,
                       "mlp_ratio": 2, "patch_size": 14},
        vision_start_token_id=first + 3, vision_end_token_id=first + 4,
        vision_token_id=first + 5, image_token_id=first + 6, video_token_id=first + 7,
        tie_word_embeddings=True,
    )  # fmt: skip
    _save(folder, "Qwen2VLForConditionalGeneration", config, legacy=False)
    write(folder / "generation_config.json", {
        "bos_token_id": first, "pad_token_id": first, "do_sample": True,
        "eos_token_id": [first + 2, first], "temperature": 0.01, "top_k": 1, "top_p": 0.001,
        "transformers_version": "4.41.2",
    })  # fmt: skip
    write(folder / "preprocessor_config.json", {
        "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2,
        "merge_size": 2, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor",
    })  # fmt: skip
    write(folder / "chat_template.json", {"chat_template": CHATML})
    _card(folder, "apache-2.0")


def bert() -> None:
    """Like MiniLM: a BERT for embeddings, in float32 as they are published."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel

    folder = snapshot_of("tiny-lab/MiniLM-Tiny")
    words = BertWordPieceTokenizer(lowercase=True)
    words.train_from_iterator(TEXT * 4, vocab_size=300, show_progress=False)
    words.save(str(folder / "tokenizer.json"))
    words.save_model(str(folder))
    special = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]",
               "cls_token": "[CLS]", "mask_token": "[MASK]"}  # fmt: skip
    write(folder / "special_tokens_map.json", special)
    write(folder / "tokenizer_config.json", {
        "do_lower_case": True, **special, "tokenize_chinese_chars": True, "strip_accents": None,
        "model_max_length": 512, "tokenizer_class": "BertTokenizer",
    })  # fmt: skip
    torch.manual_seed(7)
    config = {k: v for k, v in _SIZE.items() if k != "num_key_value_heads"}
    BertModel(BertConfig(vocab_size=words.get_vocab_size(), **config)).save_pretrained(folder)
    edit(folder / "config.json", dtype=None, transformers_version="4.8.2")
    _card(folder, "apache-2.0")


BASES: tuple[Callable[[], None], ...] = (
    llama, qwen, qwen_embedding, mistral, gemma_vision, qwen_vision, bert,
)  # fmt: skip
