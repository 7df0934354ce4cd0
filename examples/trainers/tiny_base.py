"""Make a base model that trains on any processor: a Llama of two layers and a tokenizer for it.

Stands for the model that you fine-tune: ``--model unsloth/Qwen3-4B`` in its place.
"""

from __future__ import annotations

import json
from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'user' %}Question: {{ message.content }}\n"
    "{% elif message.role == 'assistant' %}Answer: {{ message.content }}{{ eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}"
)


def texts(folder: Path) -> list[str]:
    """Return every sentence of the data that ships with the trainers."""
    found = []
    for path in sorted(folder.glob("*/data/*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            messages = row.get("messages") or [*row["prompt"], *row["completion"]]
            found += [message["content"] for message in messages]
    return found


def make_tiny_base(folder: Path) -> Path:
    """Save model and tokenizer, unless they are there; return the folder."""
    if (folder / "config.json").is_file():
        return folder
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<pad>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts(Path(__file__).parent),
        trainers.BpeTrainer(
            vocab_size=512, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    fast.chat_template = CHAT_TEMPLATE
    torch.manual_seed(5)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(fast),
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
        )
    )
    fast.save_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder
