"""Base models of the sound folders, in a cache of the Hub, as publishers saved them.

Most models on the Hub were saved by transformers 4: template and added tokens are in
``tokenizer_config.json``, the vocabulary lies there a second time as ``vocab.json`` and
``merges.txt``, and the configuration says ``torch_dtype`` and ``rope_theta``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def snapshot_of(name: str) -> Path:
    """Return the folder of a model in the cache that ``HF_HOME`` names."""
    sha = hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
    repository = Path(os.environ["HF_HOME"]) / "hub" / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(sha)
    folder = repository / "snapshots" / sha
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(path: Path, data: object) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False), "utf-8")


def _edit(path: Path, **changes: object) -> None:
    data = json.loads(path.read_text("utf-8"))
    _write(path, {k: v for k, v in {**data, **changes}.items() if v is not None})


def _card(folder: Path, licence: str) -> None:
    text = (
        f"---\nlicense: {licence}\nlanguage:\n- en\npipeline_tag: text-generation\n---\n\n# Tiny\n"
    )
    (folder / "README.md").write_text(text)


def _added(number: int, text: str, special: bool = True) -> dict[str, Any]:
    return {"id": number, "content": text, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": special}  # fmt: skip


def _byte_level(folder: Path, digits: str, special: list[str], **config: Any) -> int:
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
    _write(folder / "vocab.json", data["model"]["vocab"])
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    decoder = {
        str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in data["added_tokens"]
    }
    _write(
        folder / "tokenizer_config.json",
        {"added_tokens_decoder": decoder, "model_max_length": 512, "errors": "replace", **config},
    )
    maps = {k: config[k] for k in ("bos_token", "eos_token", "pad_token") if config.get(k)}
    _write(folder / "special_tokens_map.json", maps)
    return tokenizer.get_vocab_size()


def _sentencepiece(folder: Path, *, gemma: bool, special: list[str], template: str) -> int:
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
    _write(
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
    _edit(folder / "tokenizer_config.json", added_tokens_decoder=decoder, chat_template=template)
    return len(tokenizer)


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
        _edit(path, dtype=None, torch_dtype="bfloat16", rope_parameters=None,
              transformers_version="4.46.3", **theta)  # fmt: skip


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


def llama() -> None:
    """Like Llama 3: two matrices at the ends, several ends of a text, reserved tokens."""
    from transformers import LlamaConfig

    folder = snapshot_of("tiny-lab/Llama-Tiny-Instruct")
    names = [
        "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
        "<|finetune_right_pad_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
        "<|eot_id|>",
    ]  # fmt: skip
    size = _byte_level(
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
    _write(folder / "generation_config.json", {
        "bos_token_id": first, "do_sample": True, "eos_token_id": ends, "temperature": 0.6,
        "top_p": 0.9, "transformers_version": "4.45.0.dev0",
    })  # fmt: skip
    _card(folder, "llama3.2")


def qwen() -> None:
    """Like Qwen 2.5: tied, and more rows than tokens."""
    from transformers import Qwen2Config

    folder = snapshot_of("tiny-lab/Qwen-Tiny-Instruct")
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_pad|>"]
    size = _byte_level(
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
    _write(folder / "generation_config.json", {
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
    size = _byte_level(
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
    _write(folder / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 64, "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
        "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": True,
        "include_prompt": True,
    })  # fmt: skip
    kinds = ("Transformer", "Pooling", "Normalize")
    _write(folder / "modules.json", [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "",
         "type": f"sentence_transformers.models.{kind}"} for n, kind in enumerate(kinds)
    ])  # fmt: skip
    _write(folder / "config_sentence_transformers.json", {
        "prompts": {"query": "Instruct: find it\nQuery:", "document": ""},
        "default_prompt_name": None, "similarity_fn_name": "cosine",
    })  # fmt: skip
    _card(folder, "apache-2.0")


def mistral() -> None:
    """Like Mistral 7B: sentencepiece, and weights in shards."""
    from transformers import MistralConfig

    folder = snapshot_of("tiny-lab/Mistral-Tiny-Instruct")
    size = _sentencepiece(
        folder, gemma=False, special=["[INST]", "[/INST]"], template=MISTRAL_TEMPLATE
    )
    config = MistralConfig(
        **_SIZE, vocab_size=size, bos_token_id=1, eos_token_id=2, tie_word_embeddings=False,
        sliding_window=None,
    )  # fmt: skip
    _save(folder, "MistralForCausalLM", config, shard="150KB")
    _write(folder / "generation_config.json",
           {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2})  # fmt: skip
    _card(folder, "apache-2.0")


def gemma_vision() -> None:
    """Like Gemma 3 4B: a language model and an encoder of images, with a processor."""
    from transformers import Gemma3Config

    folder = snapshot_of("tiny-lab/Gemma-Tiny-Vision")
    special = ["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
               "<image_soft_token>"]  # fmt: skip
    size = _sentencepiece(folder, gemma=True, special=special, template=GEMMA_TEMPLATE)
    config = Gemma3Config(
        text_config={**_SIZE, "vocab_size": size, "head_dim": 16, "sliding_window": 64},
        vision_config={**_VISION, "image_size": 56, "patch_size": 14, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=6, eoi_token_index=7, image_token_index=8, eos_token_id=[1, 5],
    )  # fmt: skip
    _save(folder, "Gemma3ForConditionalGeneration", config, legacy=False)
    _edit(folder / "tokenizer_config.json", processor_class="Gemma3Processor",
          boi_token="<start_of_image>", eoi_token="<end_of_image>",
          image_token="<image_soft_token>")  # fmt: skip
    _write(folder / "generation_config.json", {
        "bos_token_id": 2, "cache_implementation": "hybrid", "do_sample": True,
        "eos_token_id": [1, 5], "pad_token_id": 0, "top_k": 64, "top_p": 0.95,
        "transformers_version": "4.50.0.dev0",
    })  # fmt: skip
    _write(folder / "preprocessor_config.json", {
        "do_convert_rgb": None, "do_normalize": True, "do_pan_and_scan": None,
        "do_rescale": True, "do_resize": True, "image_mean": [0.5] * 3,
        "image_processor_type": "Gemma3ImageProcessor", "image_seq_length": 4,
        "image_std": [0.5] * 3, "processor_class": "Gemma3Processor", "resample": 2,
        "rescale_factor": 0.00392156862745098, "size": {"height": 56, "width": 56},
    })  # fmt: skip
    _write(folder / "processor_config.json",
           {"image_seq_length": 4, "processor_class": "Gemma3Processor"})  # fmt: skip
    _card(folder, "gemma")


def qwen_vision() -> None:
    """Like Qwen2-VL 2B; llama.cpp numbers the merger's layers within the depth of the encoder."""
    from transformers import Qwen2VLConfig

    folder = snapshot_of("tiny-lab/Qwen2-VL-Tiny")
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
             "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]  # fmt: skip
    size = _byte_level(
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
    _write(folder / "generation_config.json", {
        "bos_token_id": first, "pad_token_id": first, "do_sample": True,
        "eos_token_id": [first + 2, first], "temperature": 0.01, "top_k": 1, "top_p": 0.001,
        "transformers_version": "4.41.2",
    })  # fmt: skip
    _write(folder / "preprocessor_config.json", {
        "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2,
        "merge_size": 2, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor",
    })  # fmt: skip
    _write(folder / "chat_template.json", {"chat_template": CHATML})
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
    _write(folder / "special_tokens_map.json", special)
    _write(folder / "tokenizer_config.json", {
        "do_lower_case": True, **special, "tokenize_chinese_chars": True, "strip_accents": None,
        "model_max_length": 512, "tokenizer_class": "BertTokenizer",
    })  # fmt: skip
    torch.manual_seed(7)
    config = {k: v for k, v in _SIZE.items() if k != "num_key_value_heads"}
    BertModel(BertConfig(vocab_size=words.get_vocab_size(), **config)).save_pretrained(folder)
    _edit(folder / "config.json", dtype=None, transformers_version="4.8.2")
    _card(folder, "apache-2.0")


BASES: tuple[Callable[[], None], ...] = (
    llama, qwen, qwen_embedding, mistral, gemma_vision, qwen_vision, bert,
)  # fmt: skip
