"""Tokenizers and small real models, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

TEXT = [
    "The quick brown fox jumps over the lazy dog.",
    "Привет, мир! 1234 567 89",
    "こんにちは世界、123",
    "def f(x):\n    return x ** 2\n",
    "naïve café — “quotes” … 🙂🚀",
    "It's you'll we've I'm they'd",
] * 40


def sentencepiece_tokenizer(folder: Path, vocabulary: int = 384, *, prefix: bool = True) -> int:
    """Train a Llama tokenizer (``tokenizer.model``), which llama.cpp needs no hash for."""
    import sentencepiece

    text = folder / "text.txt"
    text.write_text("\n".join(TEXT), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=vocabulary,
        byte_fallback=True,
        character_coverage=0.99,
        normalization_rule_name="identity",
        add_dummy_prefix=prefix,
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    text.unlink()
    (folder / "tokenizer.vocab").unlink()
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "LlamaTokenizer",
                "bos_token": "<s>",
                "eos_token": "</s>",
                "unk_token": "<unk>",
                "add_bos_token": True,
                "add_eos_token": False,
                # With the token that begins a text, as the converter has it put there.
                "chat_template": "{{ bos_token }}{% for m in messages %}{{ m.role }}:"
                " {{ m.content }}{% endfor %}",
            }
        ),
        "utf-8",
    )
    return vocabulary


def byte_level_tokenizer(folder: Path, vocabulary: int = 400) -> int:
    """Train a gpt-2 style tokenizer, whose hash llama.cpp cannot know."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": "<|endoftext|>",
                "eos_token": "<|endoftext|>",
            }
        ),
        "utf-8",
    )
    return tokenizer.get_vocab_size()


def llama(folder: Path, *, hidden: int, dtype: torch.dtype, tokenizer: Any, **more: Any) -> Path:
    """Save a small Llama with random weights and a tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder.mkdir(parents=True)
    torch.manual_seed(7)
    config = {
        "vocab_size": tokenizer(folder),
        "hidden_size": hidden,
        "intermediate_size": hidden * 2,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "tie_word_embeddings": False,
    }
    model = LlamaForCausalLM(LlamaConfig(**{**config, **more})).to(dtype)
    model.save_pretrained(folder)
    return folder


def sharp_llama(folder: Path, positions: int) -> Path:
    """Save a Llama in float32 that prefers some tokens, as trained ones do."""
    return llama(
        folder,
        hidden=256,
        dtype=torch.float32,
        tokenizer=sentencepiece_tokenizer,
        initializer_range=0.06,
        max_position_embeddings=positions,
    )


def fine_tune(base: Path, place: Path, **config: Any) -> tuple[Path, Path]:
    """Make a LoRA with random weights on a base.

    Returns:
        The adapter folder, and a folder with the model that peft merged in float32, cast once.
    """
    import shutil

    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(11)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    defaults = {"r": 8, "lora_alpha": 16, "target_modules": "all-linear"}
    tuned = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **{**defaults, **config}))
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter) * 0.05)
    adapter, merged = place / "final_model", place / base.name
    tuned.save_pretrained(adapter)
    whole = tuned.merge_and_unload()
    whole.to(AutoModelForCausalLM.from_pretrained(base, dtype="auto").dtype).save_pretrained(merged)
    for path in base.glob("tokenizer*"):
        shutil.copy(path, merged)
    return adapter, merged


def wordpiece_tokenizer(folder: Path) -> int:
    """Save a BERT tokenizer that knows every letter, at the beginning of a word and inside."""
    from tokenizers import BertWordPieceTokenizer

    from uploader_gguf.writing.roundtrip import TEXTS

    normalizer = BertWordPieceTokenizer(lowercase=True).normalizer
    letters = sorted({c for text in TEXTS for c in normalizer.normalize_str(text) if c.strip()})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    vocabulary = {token: i for i, token in enumerate([*tokens, "the", "##ing", "quick"])}
    tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=True)
    tokenizer.save_model(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}), "utf-8"
    )
    return len(vocabulary)
