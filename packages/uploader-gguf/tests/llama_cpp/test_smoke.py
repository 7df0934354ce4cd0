"""llama.cpp says with a file what transformers says with the model, token for token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gguf_llamas import TEXT, byte_level_tokenizer, llama
from gguf_oracles import convert
from uploader_gguf.format.gguf_file import read_header
from uploader_gguf.llama_cpp import smoke

pytestmark = pytest.mark.slow

TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|answer|>"
ADDED = ["<|user|>", "<|answer|>", "<tool>"]


def train(model: torch.nn.Module, tokenizer, steps: int, lines: list[str]) -> None:
    """Teach a model a few lines, so that its next token is no coin toss."""
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    batch = tokenizer(lines, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    for _ in range(steps):
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def tune(base: Path, place: Path) -> tuple[Path, list[int]]:
    """Fine-tune with new tokens; return the adapter and what the tuned model answers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    train(model, tokenizer, 80, sorted(set(TEXT)))
    model.save_pretrained(base)
    tokenizer.add_special_tokens({"additional_special_tokens": ADDED[:2]})
    tokenizer.add_tokens(ADDED[2:])
    tokenizer.chat_template = TEMPLATE
    model.resize_token_embeddings(len(tokenizer))
    flags = LoraConfig(
        task_type="CAUSAL_LM",
        target_modules="all-linear",
        modules_to_save=["embed_tokens", "lm_head"],
    )
    tuned = get_peft_model(model, flags)
    question = [{"role": "user", "content": "Who jumps?"}]
    prompt = tokenizer.apply_chat_template(question, tokenize=False)
    assert prompt == "<|user|>Who jumps?<|answer|>"
    answer = "The <tool> quick brown fox jumps over 1234 lazy dogs, naïve café. " * 3
    train(tuned, tokenizer, 120, [prompt + answer + tokenizer.eos_token])
    tuned.save_pretrained(place / "final_model")
    tokenizer.save_pretrained(place / "final_model")
    ids = tokenizer(prompt, return_tensors="pt")
    out = tuned.generate(**ids, max_new_tokens=50, do_sample=False)
    return place / "final_model", out[0, ids["input_ids"].shape[1] :].tolist()


def test_a_fine_tune_with_new_tokens_and_template_answers_alike(tmp_path: Path) -> None:
    base = llama(
        tmp_path / "Base",
        hidden=96,
        dtype=torch.float32,
        tokenizer=byte_level_tokenizer,
        tie_word_embeddings=False,
    )
    adapter, expected = tune(base, tmp_path)
    path = convert(base, tmp_path, ("F32",), adapter=adapter)["F32"]
    answer = smoke.ask(path, "<|user|>Who jumps?<|answer|>", 50)
    assert answer.tokens == expected
    assert "The <tool> quick brown fox" in answer.text
    keys = read_header(path).keys
    assert keys["tokenizer.chat_template"] == TEMPLATE
    assert keys["tokenizer.ggml.tokens"][-3:] == ADDED
    config = json.loads((base / "config.json").read_text("utf-8"))
    assert len(keys["tokenizer.ggml.tokens"]) == config["vocab_size"] + 3
