"""Every tensor is that of ``mlx_lm.convert`` on the merged folder, and mlx-lm computes with it.

Two architectures here; ``nox -s parity_mlx`` has the others and all kinds. Seen equal with mlx
0.32.4 and mlx-lm 0.32.2.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compressed_models import model_class, save, train
from mlx_tools import convert, greedy, load_all, make, plan, same_bits, save_merged
from uploader_lora import read_header
from uploader_mlx.kinds import KINDS, SIXTEEN
from uploader_mlx.preflight import estimate

QUICK = ("llama", "qwen3-moe")
OTHERS = (
    "qwen2-tied", "llama-biased", "qwen3", "mixtral", "gemma2", "gemma3", "phi3", "qwen2-vl",
    "gemma3-eyes", "granite-moe",
)  # fmt: skip
ALL = (SIXTEEN, *KINDS)
FEW = (SIXTEEN, "4bit", "mxfp4", "mixed-3-6")


@pytest.fixture(
    scope="module", params=[*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in OTHERS)]
)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Kinds of a fine-tune in one pass: (architecture, folder, base, adapter, kinds)."""
    kind, root = request.param, tmp_path_factory.mktemp(request.param)
    base = save(kind, root / "base")
    adapter = train(kind, base, root / "adapter")
    kinds = FEW if kind in QUICK else ALL
    make(root, base, adapter, *kinds)
    merged = save_merged(root, base, adapter)
    shutil.copytree(merged, root / "for-theirs")
    # transformers 5 has other words for positions, experts and ties: mlx-lm stops at some of them
    # and takes its defaults for others.
    shutil.copy(root / SIXTEEN / "config.json", root / "for-theirs" / "config.json")
    return kind, root, base, adapter, kinds


def test_every_tensor_is_that_of_mlx_lm(release: Any) -> None:
    _, root, _, _, kinds = release
    for kind in kinds:
        ours = load_all(root / kind)
        theirs = load_all(convert(root / "for-theirs", root / f"theirs-{kind}", kind))
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if not same_bits(ours[name], theirs[name])] == [], kind


def test_index_and_configuration_are_those_of_mlx_lm(release: Any) -> None:
    _, root, _, _, kinds = release
    for kind in kinds:
        ours, theirs = root / kind, root / f"theirs-{kind}"
        for name in ("model.safetensors.index.json", "config.json"):
            assert (ours / name).read_text("utf-8") == (theirs / name).read_text("utf-8"), kind


def test_mlx_lm_goes_on_as_with_its_own_folder(release: Any) -> None:
    _, root, _, _, kinds = release
    for kind in kinds:
        tokens = [5, 17, 40, 8]
        assert greedy(root / kind, tokens) == greedy(root / f"theirs-{kind}", tokens), kind


def test_mlx_lm_computes_what_transformers_computes(release: Any) -> None:
    import mlx.core as mx
    from mlx_lm.utils import load_model

    name, root, _, _, _ = release
    tokens = torch.arange(2, 42).reshape(1, 40)
    # In float32, so that only a mistake differs, and no rounding.
    make(root / "wide", *release[2:4], SIXTEEN, dtype="float32")
    model, _ = load_model(root / "wide" / SIXTEEN)
    found = np.array(model(mx.array(tokens.numpy())))
    reference = model_class(name).from_pretrained(root / "merged-16bit", dtype=torch.float32)
    with torch.no_grad():
        expected = reference(tokens).logits.numpy()
    assert np.abs(found - expected).max() < 2e-3 * max(1, np.abs(expected).max())


def test_sizes_of_the_plan_are_exact(release: Any) -> None:
    _, root, base, adapter, kinds = release
    for kind in kinds:
        files = {p.name: p.stat().st_size for p in (root / kind).iterdir()}
        assert dict(estimate(plan(base, adapter, kind)).files) == files


def test_one_kind_does_not_depend_on_the_others(llama: Path, tmp_path: Path) -> None:
    make(tmp_path / "one", llama, None, "8bit")
    make(tmp_path / "all", llama, None, SIXTEEN, "8bit", "nvfp4")
    one, all_ = (tmp_path / n / "8bit" for n in ("one", "all"))
    assert [p.read_bytes() for p in sorted(one.iterdir())] == [
        p.read_bytes() for p in sorted(all_.iterdir())
    ]


def test_shards_hold_what_one_file_holds(llama: Path, tmp_path: Path) -> None:
    make(tmp_path / "whole", llama, None, SIXTEEN, "4bit")
    make(tmp_path / "cut", llama, None, SIXTEEN, "4bit", shard_size=50_000)
    for kind in (SIXTEEN, "4bit"):
        folder = tmp_path / "cut" / kind
        index = json.loads((folder / "model.safetensors.index.json").read_text("utf-8"))
        assert len(set(index["weight_map"].values())) > 2
        ours, theirs = load_all(folder), load_all(tmp_path / "whole" / kind)
        assert sorted(index["weight_map"]) == sorted(ours)
        assert all(same_bits(ours[name], theirs[name]) for name in theirs)


def test_files_are_the_same_whoever_makes_them(llama: Path, tmp_path: Path) -> None:
    kinds = (SIXTEEN, "4bit")
    whole = make(tmp_path / "whole", llama, None, *kinds, shard_size=50_000)
    names = [
        [piece.name for piece in estimate(plan(llama, None, kind, shard_size=50_000)).pieces]
        for kind in kinds
    ]
    root = tmp_path / "divided"
    for half in (slice(0, 3), slice(3, None)):
        pieces = tuple(tuple(own[half]) for own in names)
        made = make(root, llama, None, *kinds, pieces=pieces, shard_size=50_000)
        assert [tuple(f.name for f in made[kind].files) for kind in kinds] == [*pieces]
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}
    divided = make(root, llama, None, *kinds, shard_size=50_000)
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}
    for kind in kinds:
        assert divided[kind].files == whole[kind].files
        assert divided[kind].metadata == whole[kind].metadata


def test_fused_experts_become_what_single_ones_become(tmp_path: Path) -> None:
    """Trainers of transformers 5 save experts as they are in memory, which mlx-lm does not know."""
    single = save("qwen3-moe", tmp_path / "single")
    model = model_class("qwen3-moe").from_pretrained(single, dtype="auto")
    fused = tmp_path / "fused"
    model.save_pretrained(fused, save_original_format=False)
    names = read_header(fused / "model.safetensors").tensors
    assert any(name.endswith(".experts.gate_up_proj") for name in names)
    ours, theirs = tmp_path / "of-fused", tmp_path / "of-single"
    for base, root in ((fused, ours), (single, theirs)):
        make(root, base, None, SIXTEEN, "4bit")
    for kind in (SIXTEEN, "4bit"):
        left, right = load_all(ours / kind), load_all(theirs / kind)
        assert left.keys() == right.keys()
        assert [name for name in right if not same_bits(left[name], right[name])] == []
