"""A tokenizer and a text for models that were made on the spot, and weights as if trained."""

from __future__ import annotations

import random
from pathlib import Path

from safetensors.torch import load_file, save_file


def put_tokenizer(folder: Path) -> Path:
    """Save a tokenizer of single words, as many as the models have; the folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"w{number}" for number in range(96 - len(words))]
    plain = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    ).save_pretrained(folder)
    return folder


def write_text(path: Path, words: int = 2048) -> Path:
    """Write words of the tokenizer, seeded."""
    choose = random.Random(1)  # noqa: S311 - a text, not a secret
    known = [*"abcdefghijklmnopqrstuvwxyz", *(f"w{number}" for number in range(60))]
    path.write_text(" ".join(choose.choice(known) for _ in range(words)), "utf-8")
    return path


def sharpen(folder: Path) -> Path:
    """Make the matrices of a saved model large enough that its predictions differ by token."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for name, tensor in tensors.items():
        if tensor.dim() == 2 and "embed" not in name:
            tensors[name] = 2 * tensor
    save_file(tensors, file, metadata={"format": "pt"})
    return folder
