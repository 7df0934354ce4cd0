"""Fused experts as single matrices: each number is the one of the merged stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from merged_models import SMALL
from merged_tools import needs_fused_experts, train
from saved_models import same_bits
from uploader_merged import Checkpoint, open_checkpoint

pytestmark = [needs_fused_experts, pytest.mark.bits]

FUSED = ["experts.gate_up_proj", "experts.down_proj"]


def build(kind: str) -> Any:
    import transformers as t

    torch.manual_seed(1)
    if kind == "llama4":
        return t.Llama4ForCausalLM(
            t.Llama4TextConfig(
                **SMALL, intermediate_size_mlp=40, head_dim=8, num_local_experts=3,
                num_experts_per_tok=1, interleave_moe_layer_step=1,
            )
        )  # fmt: skip
    return t.Qwen3MoeForCausalLM(
        t.Qwen3MoeConfig(**SMALL, num_experts=3, num_experts_per_tok=2, moe_intermediate_size=40)
    )


@pytest.fixture(scope="module", params=["qwen3-moe", "llama4"])
def merged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Base and adapter whose experts are (out, in) or (in, out), fused on disk and trained."""
    root = tmp_path_factory.mktemp(request.param)
    model = build(request.param).to(torch.bfloat16)
    model.save_pretrained(root / "base", save_original_format=False)
    adapter = train(root / "base", root / "adapter", r=3, target_modules=[],
                    target_parameters=FUSED)  # fmt: skip
    return open_checkpoint(root / "base", adapter)


def single(checkpoint: Checkpoint, name: str, number: int) -> dict[str, torch.Tensor]:
    """Cut an expert out of a merged stack as transformers and llm-compressor do."""
    matrix, module = checkpoint.read(name)[number], name.rpartition(".")[0]
    outputs = matrix.T if "feed_forward" in name else matrix
    parts = ("gate_proj", "up_proj") if name.endswith("gate_up_proj") else ("down_proj",)
    cut = outputs.chunk(len(parts))
    return {f"{module}.{number}.{p}.weight": c for p, c in zip(parts, cut, strict=True)}


def test_bits_are_those_of_the_merged_stack(merged: Checkpoint) -> None:
    apart = merged.with_single_experts(lambda _: False)
    wanted = {}
    for name in merged.names:
        if name.endswith(tuple(FUSED)):
            assert merged.recipe(name).touched
            for number in range(3):
                wanted |= single(merged, name, number)
        else:
            wanted[name] = merged.read(name)
    assert set(apart.names) == set(wanted)
    for name, tensor in wanted.items():
        assert apart.shape(name) == tuple(tensor.shape)
        assert same_bits(apart.read(name), tensor), name
        assert same_bits(apart.read_rows(name, 1, 3), tensor[1:3]), name
        blocks = [block for block in apart.blocks(name, 7 * tensor[0].numel())]
        assert same_bits(torch.cat(blocks), tensor), name
    assert apart.nbytes == merged.nbytes


def test_experts_of_which_all_stay_are_left_in_one_tensor(merged: Checkpoint) -> None:
    assert merged.with_single_experts(lambda _: True).names == merged.names
    half = merged.with_single_experts(lambda name: name.endswith("down_proj"))
    assert not [name for name in half.names if name.endswith(tuple(FUSED))]


def test_experts_with_biases_stay(tmp_path: Path) -> None:
    """Those of gpt-oss have gate and up in turns."""
    import transformers as t

    config = t.GptOssConfig(**SMALL, head_dim=8, num_local_experts=2, num_experts_per_tok=1)
    t.GptOssForCausalLM(config).save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.with_single_experts(lambda _: False).names == checkpoint.names
