"""Tokenizers as trainers leave them, and small models that fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from gguf_llamas import byte_level_tokenizer, sentencepiece_tokenizer
from gguf_oracles import convert
from uploader_gguf.format.gguf_file import read_header
from uploader_gguf.llama_cpp import smoke
from uploader_gguf.llama_cpp.smoke import Probe

CONTROL, USER_DEFINED, UNUSED = 3, 4, 5
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
}


def save_model(
    folder: Path, rows: int, architecture: str = "LlamaForCausalLM", **config: Any
) -> Path:
    """Save a model of one layer with random weights beside the tokenizer of a folder."""
    import transformers

    torch.manual_seed(5)
    cls = getattr(transformers, architecture)
    cls(cls.config_class(**{**SMALL, "vocab_size": rows, **config})).save_pretrained(folder)
    return folder


def with_spaces(folder: Path) -> int:
    """Save a vocabulary like Llama 2's: runs of spaces have early ids and the lowest score."""
    from sentencepiece import sentencepiece_model_pb2

    sentencepiece_tokenizer(folder)
    classes: Any = sentencepiece_model_pb2
    path = folder / "tokenizer.model"
    proto = classes.ModelProto.FromString(path.read_bytes())
    pieces = list(proto.pieces)
    runs = [classes.ModelProto.SentencePiece(piece="▁" * n, score=-1e9) for n in range(2, 17)]
    del proto.pieces[:]
    proto.pieces.extend([*pieces[:259], runs[0], *pieces[259:280], *runs[1:], *pieces[280:]])
    path.write_bytes(proto.SerializeToString())
    return len(proto.pieces)


def as_transformers_5_saves(folder: Path, *, keep_model: bool, **changes: Any) -> Any:
    """Load a folder's tokenizer with transformers and save it over itself.

    Args:
        folder: With ``tokenizer.model`` and ``tokenizer_config.json``.
        keep_model: False leaves ``tokenizer.json`` alone, as transformers 5 does.
        changes: Of ``tokenizer_config.json``, before.
    """
    from transformers import AutoTokenizer

    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")
    model = (folder / "tokenizer.model").read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (folder / "tokenizer.model").unlink()
    tokenizer.save_pretrained(folder)
    if keep_model:
        (folder / "tokenizer.model").write_bytes(model)
    return tokenizer


def byte_level(folder: Path, *added: Any, **config: Any) -> Any:
    """Save a byte-level tokenizer with added tokens; texts of them are special."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    byte_level_tokenizer(folder)
    (folder / "tokenizer_config.json").unlink()
    tokens = [AddedToken(t, special=True) if isinstance(t, str) else t for t in added]
    names = {"eos_token": "<|endoftext|>", **config}
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **names)
    tokenizer.add_tokens(tokens)
    tokenizer.save_pretrained(folder)
    return tokenizer


def keys_of(folder: Path, place: Path, **more: Any) -> dict[str, Any]:
    """Convert a folder to F16 and return the keys of the file.

    Args:
        folder: Of the model.
        place: For the file.
        more: Settings; the checks of the finished file are off unless they are named here.
    """
    settings = {"smoke_test": False, "tokenizer_check": False, **more}
    return dict(read_header(convert(folder, place, ("F16",), **settings)["F16"]).keys)


def tokenised(place: Path, *texts: str) -> list[list[int]]:
    """Return what llama.cpp makes of texts with the file below a folder."""
    (path,) = place.rglob("*.gguf")
    return smoke.ask(path, "", 0, tuple(Probe(text=text, special=True) for text in texts)).texts
