"""The 4-bit model is what transformers writes when it quantises the merged model.

Seen equal: torch with AVX2 and on its plain path, in 1, 2 and 4 threads; AVX-512 in CI. From 32768
scales on, bitsandbytes in several threads takes another mean than in one, and we take that of one.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from merged_models import save as save_model
from merged_tools import FUSES_EXPERTS, Merge, train
from saved_models import checkpoint_artifact, load_all, same_bits
from uploader_core.plugin import (
    Artifact,
    OutputFolder,
    PlanContext,
    ReleaseInfo,
    Size,
    StepContext,
    UsageError,
)
from uploader_lora import read_header
from uploader_merged.compute.pipeline import thread_pool
from uploader_merged.four_bit.quantise import Quantiser, best_device, dynamic_map
from uploader_merged.four_bit.save import save
from uploader_merged.preflight import check_4bit, estimate_4bit
from uploader_merged.settings import Merged4Settings

pytestmark = pytest.mark.bits

pytest.importorskip("bitsandbytes")
RELEASE = ReleaseInfo(name="tiny", source="adapter")


def quantise(root: Path, base: Path, adapter: Path | None, **settings: Any) -> Artifact:
    return save(
        StepContext(
            step="merged:4bit",
            inputs=(checkpoint_artifact(base, adapter),),
            settings=Merged4Settings(**settings),
            release=RELEASE,
            output=OutputFolder(root / "merged-4bit", root / "scratch", root / "units"),
            work=root / "scratch",
            produces="merged-4bit",
        )
    )


def plan(base: Path, adapter: Path | None, **settings: Any) -> PlanContext:
    return PlanContext(
        inputs=(checkpoint_artifact(base, adapter),),
        settings=Merged4Settings(**settings),
        release=RELEASE,
        output=base,
    )


def transformers_4bit(merged: Path, folder: Path, **flags: Any) -> dict[str, torch.Tensor]:
    """Let transformers quantise a merged folder and save it."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    defaults = {
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.bfloat16,
    }
    config = BitsAndBytesConfig(load_in_4bit=True, **{**defaults, **flags})
    model = AutoModelForCausalLM.from_pretrained(merged, quantization_config=config, dtype="auto")
    model.save_pretrained(folder)
    return load_all(folder)


@pytest.mark.parametrize("block", [64, 128, 32, 4096])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_every_byte_is_that_of_bitsandbytes(kind: str, nested: bool, block: int) -> None:
    import bitsandbytes.functional as bnb

    torch.manual_seed(3)
    with ThreadPoolExecutor(2) as pool:
        for shape in [(48, 80), (600, 257), (7, 9), (3, 64), (1, 1)]:
            for dtype in (torch.bfloat16, torch.float16, torch.float32):
                weight = (torch.randn(shape) * 0.1).to(dtype)
                packed, state = bnb.quantize_4bit(
                    weight, blocksize=block, compress_statistics=nested, quant_type=kind
                )
                ours = Quantiser(kind, block, nested, pool).quantise([weight], shape)
                expected = state.as_dict(packed=True)
                assert same_bits(ours.packed, packed)
                assert ours.state.keys() == expected.keys()
                assert not [n for n in expected if not same_bits(ours.state[n], expected[n])]


def test_threads_change_no_byte(tmp_path: Path) -> None:
    """torch's mean of many scales differs with the threads; ours is that of bitsandbytes in one."""
    import bitsandbytes.functional as bnb

    torch.manual_seed(8)
    weight = torch.randn(3000, 1024) * torch.rand(3000, 1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = bnb.quantize_4bit(weight, compress_statistics=True, quant_type="nf4")[1]
        torch.set_num_threads(4)
        with thread_pool(2) as pool:
            ours = Quantiser("nf4", 64, True, pool).quantise([weight], (3000, 1024))
    finally:
        torch.set_num_threads(before)
    name = "quant_state.bitsandbytes__nf4"
    assert same_bits(ours.state[name], expected.as_dict(packed=True)[name])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_gpu_gives_the_bytes_of_the_cpu(kind: str) -> None:
    weight = torch.randn(600, 257).bfloat16()
    with ThreadPoolExecutor(2) as pool:
        cpu = Quantiser(kind, 64, True, pool).quantise([weight], (600, 257))
        gpu = Quantiser(kind, 64, True, pool, best_device()).quantise([weight], (600, 257))
    assert same_bits(cpu.packed, gpu.packed)
    assert all(same_bits(cpu.state[name], gpu.state[name]) for name in cpu.state)


def test_dynamic_map_is_that_of_bitsandbytes() -> None:
    import bitsandbytes.functional as bnb

    assert same_bits(dynamic_map(), bnb.create_dynamic_map())


@pytest.mark.parametrize("architecture", ["llama", "llama-tied", "gpt2", "qwen3", "mixtral"])
def test_files_are_those_of_transformers(architecture: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = save_model(architecture, tmp_path / "base")
    adapter = train(base, tmp_path / "adapter", r=4, lora_alpha=7, target_modules="all-linear")
    merged = Merge(tmp_path)(base, adapter)
    made = quantise(tmp_path, base, adapter)
    flags = {}
    if architecture == "mixtral" and not FUSES_EXPERTS:
        flags = {"llm_int8_skip_modules": ["lm_head", "block_sparse_moe.experts", "gate"]}
    ours = load_all(made.path)
    theirs = transformers_4bit(merged.path, tmp_path / "theirs", **flags)
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if not same_bits(ours[name], theirs[name])]
    configs = [
        json.loads((folder / "config.json").read_text())["quantization_config"]
        for folder in (made.path, tmp_path / "theirs")
    ]
    if architecture == "mixtral":
        # For transformers 4, which quantises experts and routers where nothing forbids it.
        assert "block_sparse_moe.experts" in configs[0].pop("llm_int8_skip_modules")
        configs[1].pop("llm_int8_skip_modules")
    assert configs[0] == configs[1]
    model = AutoModelForCausalLM.from_pretrained(made.path, dtype="auto")
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs", dtype="auto")
    prompt = torch.arange(1, 30)[None]
    with torch.no_grad():
        assert torch.equal(model(prompt).logits, reference(prompt).logits)


@pytest.mark.parametrize(
    ("settings", "flags"),
    [
        ({"bnb_type": "fp4"}, {"bnb_4bit_quant_type": "fp4"}),
        ({"bnb_double_quant": False}, {"bnb_4bit_use_double_quant": False}),
        ({"bnb_skip": ("o_proj",)}, {"llm_int8_skip_modules": ["lm_head", "o_proj"]}),
    ],
    ids=["fp4", "single", "skip"],
)
def test_settings(
    settings: dict[str, Any], flags: dict[str, Any], llama: Path, adapter: Path, tmp_path: Path
) -> None:
    merged = Merge(tmp_path)(llama, adapter)
    ours = load_all(quantise(tmp_path, llama, adapter, **settings).path)
    theirs = transformers_4bit(merged.path, tmp_path / "theirs", **flags)
    assert ours.keys() == theirs.keys()
    assert not [name for name in ours if not same_bits(ours[name], theirs[name])]


def test_shards_and_resume(llama: Path, adapter: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    whole = quantise(tmp_path / "whole", llama, adapter)
    parts = quantise(tmp_path / "parts", llama, adapter, shard_size=Size("20KB"))
    files = sorted(p.name for p in parts.path.glob("*.safetensors"))
    assert len(files) > 2
    times = [(parts.path / name).stat().st_mtime_ns for name in files]
    again = quantise(tmp_path / "parts", llama, adapter, shard_size=Size("20KB"))
    assert [(again.path / name).stat().st_mtime_ns for name in files] == times
    ours, theirs = load_all(parts.path), load_all(whole.path)
    assert ours.keys() == theirs.keys()
    assert all(same_bits(ours[name], theirs[name]) for name in ours)
    AutoModelForCausalLM.from_pretrained(parts.path)


def test_everything_is_aligned(llama: Path, adapter: Path, tmp_path: Path) -> None:
    made = quantise(tmp_path, llama, adapter)
    for tensor in read_header(made.path / "model.safetensors").tensors.values():
        width = {"F32": 4, "BF16": 2, "U8": 1}[tensor.dtype]
        assert tensor.offset % width == 0


def test_estimate_is_close_and_never_too_small(llama: Path, adapter: Path, tmp_path: Path) -> None:
    made = quantise(tmp_path, llama, adapter)
    weights = (made.path / "model.safetensors").stat().st_size
    guess = dict(estimate_4bit(plan(llama, adapter)).files)["model.safetensors"]
    assert weights <= guess <= weights + 16 * 14


def test_block_size_that_is_none(llama: Path, adapter: Path) -> None:
    with pytest.raises(UsageError, match="block size"):
        list(check_4bit(plan(llama, adapter, bnb_block_size=100)))


def test_experts_in_16_bits_are_said(tmp_path: Path) -> None:
    base = save_model("qwen3-moe", tmp_path / "base")
    assert any("experts" in finding.what for finding in check_4bit(plan(base, None)))
