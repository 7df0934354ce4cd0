"""Experts: other packings, older adapters, files that keep them fused.

Seen equal: torch and MKL with AVX2 and on their plain paths, in 1, 2 and 4 threads; AVX-512 in CI.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from json_files import edit_json
from merged_models import save
from merged_tools import Merge, needs_fused_experts, train
from saved_models import load_all, same_bits
from uploader_core.plugin import SourceError
from uploader_merged import open_checkpoint

pytestmark = [needs_fused_experts, pytest.mark.bits]
FUSED = ["experts.gate_up_proj", "experts.down_proj"]
EXPERTS = 4


@pytest.fixture(scope="module")
def moe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("qwen3-moe", tmp_path_factory.mktemp("moe"))


@pytest.fixture(scope="module")
def fused_adapter(moe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fused")
    return train(moe, folder, r=3, lora_alpha=5, target_modules=[], target_parameters=FUSED)


@pytest.fixture(scope="module")
def reference(moe: Path, fused_adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Merge(tmp_path_factory.mktemp("reference"))(moe, fused_adapter)
    return load_all(made.path)


def copy(adapter: Path, folder: Path, change: Any, **config: Any) -> Path:
    shutil.copytree(adapter, folder)
    file = folder / "adapter_model.safetensors"
    tensors = {n: change(n, t).contiguous() for n, t in load_file(file).items()}
    save_file(tensors, file)
    edit_json(folder / "adapter_config.json", **config)
    return folder


def keep(name: str, tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def assert_same(made: Path, reference: dict[str, torch.Tensor]) -> None:
    ours = load_all(made)
    assert ours.keys() == reference.keys()
    assert not [n for n in ours if not same_bits(ours[n], reference[n])]


def expert_slowest(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """Pack B as Unsloth did: (out, expert, rank) and not (out, rank, expert)."""
    if "lora_B" not in name:
        return tensor
    return tensor.reshape(tensor.shape[0], -1, EXPERTS).transpose(1, 2).flatten(1)


UNSLOTH = {"auto_mapping": {"unsloth_fixed": True}}


def test_unsloth_s_packing_has_to_be_named(
    moe: Path, fused_adapter: Path, tmp_path: Path, merge: Merge, reference: Any
) -> None:
    theirs = copy(fused_adapter, tmp_path / "a", expert_slowest, **UNSLOTH)
    with pytest.raises(SourceError, match="Unsloth") as caught:
        open_checkpoint(moe, theirs)
    assert "--merged-expert-packing" in (caught.value.next or "")
    checkpoint = open_checkpoint(moe, theirs, expert_packing="unsloth")
    for name in checkpoint.touched:
        assert same_bits(checkpoint.read(name), reference[name])


@pytest.mark.parametrize(
    ("layout", "change"), [("rank_major", keep), ("expert_major", expert_slowest)]
)
def test_marker_in_the_file_is_enough(
    layout: str,
    change: Any,
    moe: Path,
    fused_adapter: Path,
    tmp_path: Path,
    merge: Merge,
    reference: Any,
) -> None:
    marked = copy(fused_adapter, tmp_path / "a", change, **UNSLOTH, lora_B_layout=layout)
    assert_same(merge(moe, marked).path, reference)


def older(adapter: Path, folder: Path, version: str = "0.18.1") -> Path:
    """An adapter as PEFT before 0.19 stored it: A on the first axis of the parameter.

    ``W + scale * A^T B^T`` instead of ``W + scale * B A``, with the same ranks.
    """
    shutil.copytree(adapter, folder)
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    changed = {}
    for name in tensors:
        if "lora_A" in name:
            a, b = tensors[name], tensors[name.replace("lora_A", "lora_B")]
            rank = a.shape[0] // EXPERTS
            by_expert = b.reshape(b.shape[0], rank, EXPERTS)
            changed[name] = by_expert.permute(2, 1, 0).reshape(EXPERTS * rank, -1).contiguous()
            stacked = a.reshape(EXPERTS, rank, -1)
            changed[name.replace("lora_A", "lora_B")] = (
                stacked.permute(2, 1, 0).reshape(a.shape[1], -1).contiguous()
            )
    save_file({**tensors, **changed}, file)
    edit_json(folder / "adapter_config.json", peft_version=version)
    return folder


def test_older_peft_put_a_on_the_other_side(
    moe: Path, fused_adapter: Path, tmp_path: Path, merge: Merge, reference: Any
) -> None:
    assert_same(merge(moe, older(fused_adapter, tmp_path / "a")).path, reference)


def test_square_experts_are_told_apart_by_version(tmp_path: Path) -> None:
    import transformers as t

    from merged_models import SMALL

    torch.manual_seed(5)
    config = t.Qwen3MoeConfig(
        **SMALL, head_dim=16, num_experts=EXPERTS, num_experts_per_tok=2, moe_intermediate_size=32
    )  # gate and up together are 64 x 64
    base = tmp_path / "base"
    t.Qwen3MoeForCausalLM(config).bfloat16().save_pretrained(base)
    flags: dict[str, Any] = {"target_modules": [], "target_parameters": FUSED}
    adapter = train(base, tmp_path / "new", **flags)
    reference = load_all(Merge(tmp_path / "1")(base, adapter).path)
    old = older(adapter, tmp_path / "old")
    assert_same(Merge(tmp_path / "2")(base, old).path, reference)
    for version in (None, "0.19.0.dev0"):
        edit_json(old / "adapter_config.json", peft_version=version)
        with pytest.raises(SourceError, match="square"):
            open_checkpoint(base, old)


def fuse(base: Path, folder: Path) -> Path:
    """The same model with its experts fused on disk, as newer families keep them."""
    folder.mkdir()
    tensors = load_all(base)
    fused: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if ".experts." not in name:
            fused[name] = tensor
        elif name.endswith(".experts.0.gate_proj.weight"):
            path = name.removesuffix(".0.gate_proj.weight")
            leaf = {
                part: torch.stack([tensors[f"{path}.{e}.{part}.weight"] for e in range(EXPERTS)])
                for part in ("gate_proj", "up_proj", "down_proj")
            }
            fused[f"{path}.gate_up_proj"] = torch.cat([leaf["gate_proj"], leaf["up_proj"]], 1)
            fused[f"{path}.down_proj"] = leaf["down_proj"]
    save_file(fused, folder / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(base / "config.json", folder / "config.json")
    return folder


def test_files_that_keep_experts_fused(
    moe: Path, fused_adapter: Path, tmp_path: Path, merge: Merge, reference: Any
) -> None:
    made = merge(fuse(moe, tmp_path / "base"), fused_adapter)
    (tmp_path / "separate").mkdir()
    save_file(reference, tmp_path / "separate" / "model.safetensors")
    shutil.copyfile(moe / "config.json", tmp_path / "separate" / "config.json")
    assert_same(made.path, load_all(fuse(tmp_path / "separate", tmp_path / "again")))
    checkpoint = open_checkpoint(tmp_path / "base", fused_adapter)
    name = "model.layers.0.mlp.experts.gate_up_proj"
    whole = checkpoint.read(name)
    assert whole.shape == (EXPERTS, 80, 64)
    assert same_bits(checkpoint.read_rows(name, 1, 3), whole[1:3])
    assert same_bits(torch.cat(list(checkpoint.blocks(name, 700))).view(whole.shape), whole)


def single(fused: Path, folder: Path) -> Path:
    """An adapter of single experts, as transformers 4 and PEFT's linear layers stored it."""
    shutil.copytree(fused, folder)
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    changed: dict[str, torch.Tensor] = {}
    for name, a in tensors.items():
        if "lora_A" not in name:
            continue
        b = tensors[name.replace("lora_A", "lora_B")]
        rank = a.shape[0] // EXPERTS
        inner = ".base_layer" in name
        path = name.partition(".experts")[0] + ".experts"
        for e in range(EXPERTS):
            a_e, b_e = a[e * rank : (e + 1) * rank], b[:, e::EXPERTS]
            parts = {"gate_proj": b_e[:40], "up_proj": b_e[40:]} if inner else {"down_proj": b_e}
            for leaf, part in parts.items():
                changed[f"{path}.{e}.{leaf}.lora_A.weight"] = a_e.clone()
                changed[f"{path}.{e}.{leaf}.lora_B.weight"] = part.contiguous()
    save_file(changed, file)
    edit_json(folder / "adapter_config.json", target_parameters=None)
    return folder


@pytest.mark.parametrize("on_disk", ["separate", "fused"])
def test_adapter_of_single_experts(
    on_disk: str, moe: Path, fused_adapter: Path, tmp_path: Path, reference: Any
) -> None:
    old = single(fused_adapter, tmp_path / "old")
    base = moe if on_disk == "separate" else fuse(moe, tmp_path / "base")
    new = Merge(tmp_path / "1")(base, fused_adapter)
    assert_same(Merge(tmp_path / "2")(base, old).path, load_all(new.path))
    if on_disk == "separate":
        assert_same(new.path, reference)


def test_number_of_experts_that_differs(moe: Path, fused_adapter: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    tensors = {n: t for n, t in load_all(moe).items() if ".experts.3." not in n}
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    shutil.copyfile(moe / "config.json", base / "config.json")
    with pytest.raises(SourceError, match="4 experts, and the base 3"):
        open_checkpoint(base, fused_adapter)
