"""A file of a size that was asked for, from end to end on small models."""

from __future__ import annotations

import shutil
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_models import build
from gguf_oracles import context, save_imatrix
from uploader_core.plugin import Artifact, RefusedError, Size
from uploader_gguf import card, step
from uploader_gguf.format.gguf_file import read_header


def release(folder: Path, place: Path, **settings: Any) -> Artifact:
    return step.convert(context(folder, place, smoke_test=False, tokenizer_check=False, **settings))


def only_file(artifact: Artifact) -> Path:
    (file,) = artifact.files
    return artifact.file(file.name)


@pytest.mark.parametrize("folder", ["llama_folder", "odd_folder"])
@pytest.mark.parametrize("target", ["6.5bpw", "8.5bpw", "12bpw"])
def test_the_file_is_within_the_budget_and_near_it(
    folder: str, target: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    artifact = release(request.getfixturevalue(folder), tmp_path, target_size=target)
    file = only_file(artifact)
    weights = sum(prod(t.shape) for t in read_header(file).tensors)
    budget = int(float(target.removesuffix("bpw")) * weights / 8)
    said = artifact.metadata["target_size"]
    assert isinstance(said, dict)
    assert said["bytes"] == file.stat().st_size <= said["budget"] == budget
    assert file.stat().st_size > 0.9 * budget
    assert file.name == f"{request.getfixturevalue(folder).name}-{target}.gguf"


@pytest.mark.parametrize("folder", ["llama_folder", "odd_folder"])
def test_what_the_manifest_says_makes_the_same_bytes(
    folder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(folder)
    chosen = release(model, tmp_path / "a", target_size="7bpw")
    said = chosen.metadata["target_size"]
    assert isinstance(said, dict)
    pasted = release(
        model,
        tmp_path / "b",
        quants=(said["quants"],),
        tensor_types=tuple(str(said["tensor_types"]).split(",")),
    )
    assert only_file(pasted).read_bytes() == only_file(chosen).read_bytes()


def test_the_same_choice_each_time(llama_folder: Path, tmp_path: Path) -> None:
    first = release(llama_folder, tmp_path / "a", target_size="7bpw")
    again = release(llama_folder, tmp_path / "b", target_size="7bpw")
    assert only_file(first).read_bytes() == only_file(again).read_bytes()
    assert first.metadata == again.metadata


def test_one_more_file_beside_the_kinds(llama_folder: Path, tmp_path: Path) -> None:
    artifact = release(llama_folder, tmp_path, quants=("Q8_0",), target_size="1.3MiB")
    assert artifact.metadata["quants"] == {
        "Tiny-Llama-Q8_0.gguf": "Q8_0",
        "Tiny-Llama-1.3MiB.gguf": "1.3MiB",
    }
    shown = card.render(artifact)
    assert "[`Tiny-Llama-1.3MiB.gguf`](Tiny-Llama-1.3MiB.gguf) | 1.3MiB |" in shown


def test_cut_files_are_within_the_budget_together(llama_folder: Path, tmp_path: Path) -> None:
    artifact = release(llama_folder, tmp_path, target_size="7bpw", split_size=Size("300K"))
    said = artifact.metadata["target_size"]
    assert isinstance(said, dict)
    assert len(artifact.files) > 2
    assert sum(file.size for file in artifact.files) == said["bytes"] <= said["budget"]


def test_a_wish_for_a_tensor_stands(llama_folder: Path, tmp_path: Path) -> None:
    artifact = release(
        llama_folder,
        tmp_path,
        target_size="8bpw",
        output_tensor_type="Q4_0",
        tensor_types=("attn_v=Q5_1",),
    )
    kinds = {t.name: t.kind.name for t in read_header(only_file(artifact)).tensors}
    assert kinds["output.weight"] == "Q4_0"
    assert {kinds[f"blk.{n}.attn_v.weight"] for n in range(4)} == {"Q5_1"}


def test_an_impossible_size_is_refused_with_the_smallest(
    llama_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match="the smallest that this model can have is") as error:
        release(llama_folder, tmp_path / "a", target_size="100KB")
    smallest = str(error.value.next).split()[1].rstrip(",")
    artifact = release(llama_folder, tmp_path / "b", target_size=smallest)
    assert only_file(artifact).stat().st_size == int(smallest)


def test_an_interrupted_attempt_is_finished(llama_folder: Path, tmp_path: Path) -> None:
    first = release(llama_folder, tmp_path, quants=("Q8_0",), target_size="7bpw")
    kept, lost = (first.path / f"Tiny-Llama-{kind}.gguf" for kind in ("7bpw", "Q8_0"))
    before, time = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    shutil.rmtree(tmp_path / "work")
    again = release(llama_folder, tmp_path, quants=("Q8_0",), target_size="7bpw")
    assert lost.read_bytes() == before
    assert kept.stat().st_mtime_ns == time
    assert again.metadata == first.metadata


def test_few_bits_are_for_tensors_that_a_matrix_knows(llama_folder: Path, tmp_path: Path) -> None:
    importance = {
        f"blk.{n}.{role}.weight": np.linspace(0.1, 4, width, dtype=np.float32)
        for n in range(4)
        for role, width in (("ffn_down", 512), ("ffn_up", 256), ("ffn_gate", 256))
    }
    matrix = save_imatrix(tmp_path / "m.gguf", importance)
    artifact = release(llama_folder, tmp_path, target_size="3.6bpw", imatrix=matrix)
    kinds = {t.name: t.kind.name for t in read_header(only_file(artifact)).tensors}
    assert kinds["blk.0.ffn_up.weight"] in ("IQ2_S", "IQ3_XXS")
    assert kinds["blk.0.attn_k.weight"] not in ("IQ2_S", "IQ3_XXS")


def test_experts_are_weighed_each_by_its_own_importance(tmp_path: Path) -> None:
    """All experts of a matrix have one type; those that no text reached say nothing about it."""
    model = build("qwen3-moe", tmp_path)
    widths = {"ffn_down_exps": 256, "ffn_up_exps": 256, "ffn_gate_exps": 256}
    importance = {
        f"blk.{n}.{role}.weight": np.concatenate(
            [np.full((1, width), 1e-3 if expert else 4.0, np.float32) for expert in range(4)]
        ).ravel()
        for n in range(3)
        for role, width in widths.items()
    }
    matrix = save_imatrix(tmp_path / "m.gguf", importance)
    plain = release(model, tmp_path / "a", target_size="6bpw")
    weighed = release(model, tmp_path / "b", target_size="6bpw", imatrix=matrix)
    for artifact in (plain, weighed):
        said = artifact.metadata["target_size"]
        assert isinstance(said, dict)
        assert 0.9 * said["budget"] < only_file(artifact).stat().st_size <= said["budget"]
    assert only_file(plain).read_bytes() != only_file(weighed).read_bytes()
