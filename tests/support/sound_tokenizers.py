"""Tokenizers of the base models of the sound folders, as publishers saved them.

Template and added tokens are in ``tokenizer_config.json``, and the vocabulary lies there a second
time as ``vocab.json`` and ``merges.txt``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sound_files import edit, write

TEXT = [
    "The kingfisher dives into the green river and comes back with a silver fish.",
    "Question: what colour is the river? Answer: green, with a silver edge at noon.",
    "Numbers like 12, 345 and 6789 stand beside words, commas, and (sometimes) brackets.",
    "Ein Satz auf Deutsch, une phrase en français, y una frase en español.",
    "Старый мельник жил у реки. 今日は雨が降っています。",
    "def f(x):\n    return x ** 2\n",
]

_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|" + _WORD + r"|\p{N}DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

LLAMA_TEMPLATE = (
    "{{- bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

MISTRAL_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)

GEMMA_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' "
    "else m.role }}\n{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def byte_level(folder: Path, digits: str, special: list[str], **config: Any) -> int:
    """Train a byte-level tokenizer into a folder, with special tokens behind the vocabulary."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    llama = digits != ""
    tokenizer = Tokenizer(models.BPE(ignore_merges=llama))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT.replace("DIGITS", digits)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXT * 4,
        trainers.BpeTrainer(
            vocab_size=400,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    data = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    write(folder / "vocab.json", data["model"]["vocab"])
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    decoder = {
        str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in data["added_tokens"]
    }
    write(
        folder / "tokenizer_config.json",
        {"added_tokens_decoder": decoder, "model_max_length": 512, "errors": "replace", **config},
    )
    maps = {k: config[k] for k in ("bos_token", "eos_token", "pad_token") if config.get(k)}
    write(folder / "special_tokens_map.json", maps)
    return tokenizer.get_vocab_size()


def sentencepiece(folder: Path, *, gemma: bool, special: list[str], template: str) -> int:
    """Train a sentencepiece model into a folder; transformers makes tokenizer.json of it."""
    import sentencepiece
    from transformers import AutoTokenizer

    bos, eos = ("<bos>", "<eos>") if gemma else ("<s>", "</s>")
    ids = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}
    if gemma:
        ids = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 4), model_prefix=str(folder / "tokenizer"),
        model_type="bpe", vocab_size=600, byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=not gemma, bos_piece=bos, eos_piece=eos, hard_vocab_limit=False,
        user_defined_symbols=special, minloglevel=2, **ids,
    )  # fmt: skip
    (folder / "tokenizer.vocab").unlink()
    write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "GemmaTokenizer" if gemma else "LlamaTokenizer",
            "bos_token": bos, "eos_token": eos, "unk_token": "<unk>", "add_bos_token": True,
            "legacy": False, "model_max_length": 512, **({"pad_token": "<pad>"} if gemma else {}),
        },
    )  # fmt: skip
    sp = (folder / "tokenizer.model").read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(sp)
    added = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    decoder = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in added}
    edit(folder / "tokenizer_config.json", added_tokens_decoder=decoder, chat_template=template)
    return len(tokenizer)
