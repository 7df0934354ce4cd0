"""Heads that predict several tokens at once (MTP): in the file, or left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gguf_llamas import byte_level_tokenizer
from gguf_oracles import Job, convert, run_script, same
from uploader_gguf.format.gguf_file import read_header

pytestmark = pytest.mark.slow

WIDTH = 64
SPECIAL = ["[gMASK]", "<|user|>", "<|observation|>"]


def build(place: Path) -> Path:
    """Save a GLM whose last layer is a head for the next but one token."""
    from tokenizers import Tokenizer
    from transformers import Glm4MoeConfig, Glm4MoeForCausalLM

    folder = place / "Tiny-Glm"
    folder.mkdir()
    byte_level_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["<|endoftext|>", *SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = Glm4MoeConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=WIDTH,
        intermediate_size=128,
        moe_intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        n_routed_experts=4,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
        max_position_embeddings=256,
        pad_token_id=0,
        eos_token_id=0,
    )
    Glm4MoeForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    path = folder / "model.safetensors"
    head = "model.layers.2"
    tensors = load_file(path) | {
        f"{head}.eh_proj.weight": torch.randn(WIDTH, 2 * WIDTH, dtype=torch.bfloat16),
        f"{head}.enorm.weight": torch.ones(WIDTH, dtype=torch.bfloat16),
        f"{head}.hnorm.weight": torch.ones(WIDTH, dtype=torch.bfloat16),
        f"{head}.shared_head.norm.weight": torch.ones(WIDTH, dtype=torch.bfloat16),
    }
    save_file(tensors, path, metadata={"format": "pt"})
    described = json.loads((folder / "config.json").read_text("utf-8"))
    described |= {"num_hidden_layers": 2, "num_nextn_predict_layers": 1}
    (folder / "config.json").write_text(json.dumps(described), "utf-8")
    return folder


@pytest.mark.parametrize(("mtp", "flags"), [(True, ()), (False, ("--no-mtp",))])
def test_the_file_equals_the_unmodified_scripts(
    mtp: bool, flags: tuple[str, ...], tmp_path: Path
) -> None:
    folder = build(tmp_path)
    ours = convert(folder, tmp_path, ("Q8_0",), mtp=mtp)["Q8_0"]
    theirs = tmp_path / "theirs.gguf"
    run_script([Job(folder=folder, target=theirs, kind="Q8_0", flags=flags)])
    assert same(ours, theirs) > 20
    names = [tensor.name for tensor in read_header(ours).tensors]
    assert any("nextn" in name for name in names) is mtp
