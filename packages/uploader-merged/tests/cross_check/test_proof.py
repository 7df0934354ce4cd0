"""The proof is made from the files on disk, and a wrong file does not pass."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from merged_tools import Merge, train
from saved_models import load_all
from uploader_core.plugin import IntegrityError, RefusedError, SourceError
from uploader_lora import StoredTensor
from uploader_merged import open_checkpoint
from uploader_merged.cross_check.proof import prove
from uploader_merged.load_proof import describe
from uploader_merged.load_proof.written import compare_headers

Q = "model.layers.0.self_attn.q_proj.weight"
NORM = "model.layers.0.input_layernorm.weight"


@pytest.fixture
def made(llama: Path, adapter: Path, merge: Merge) -> Path:
    return merge(llama, adapter).path / "model.safetensors"


def damage(file: Path, name: str, change: Any) -> None:
    tensors = load_file(file)
    change(tensors, name)
    save_file(tensors, file, metadata={"format": "pt"})


def test_untouched_file_passes(made: Path, llama: Path, adapter: Path) -> None:
    proof: Any = prove(open_checkpoint(llama, adapter), [made])
    assert proof["touched"] == proof["changed"] == 14
    assert proof["adapter_tensors_used_once"] == 28
    assert proof["recomputed_tensors"] == 14
    assert proof["untouched_compared"] > 0


def nudge(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = tensors[name] * 1.02


def zero(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = torch.zeros_like(tensors[name])


def base_again(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = BASE[name]


BASE: dict[str, torch.Tensor] = {}


@pytest.mark.parametrize("change", [nudge, zero, base_again])
@pytest.mark.parametrize("name", [Q, "model.layers.1.mlp.down_proj.weight"])
def test_wrong_value_is_found(
    change: Any, name: str, made: Path, llama: Path, adapter: Path
) -> None:
    BASE.update(load_all(llama))
    damage(made, name, change)
    with pytest.raises(IntegrityError, match=name.replace(".", r"\.")):
        prove(open_checkpoint(llama, adapter), [made])


def test_changed_bystander_is_found(made: Path, llama: Path, adapter: Path) -> None:
    damage(made, NORM, nudge)
    with pytest.raises(IntegrityError, match="input_layernorm"):
        prove(open_checkpoint(llama, adapter), [made])


def test_missing_tensor_is_found(made: Path, llama: Path, adapter: Path) -> None:
    damage(made, NORM, lambda tensors, name: tensors.pop(name))
    with pytest.raises(IntegrityError, match="input_layernorm"):
        prove(open_checkpoint(llama, adapter), [made])


def widened(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = tensors[name].float()


def with_a_row_more(tensors: dict[str, torch.Tensor], name: str) -> None:
    tensors[name] = torch.cat([tensors[name], tensors[name][:1]])


@pytest.mark.parametrize("change", [widened, with_a_row_more])
def test_headers_are_those_that_were_proved_to_load(
    change: Any, made: Path, llama: Path, adapter: Path
) -> None:
    damage(made, "model.embed_tokens.weight", change)
    with pytest.raises(IntegrityError, match=r"proved to load, at model\.embed_tokens"):
        prove(open_checkpoint(llama, adapter), [made])


@pytest.mark.parametrize("gone", ["layers.1.mlp.up_proj.weight", "norm.weight"])
def test_headers_of_a_4_bit_model(gone: str, llama: Path, adapter: Path) -> None:
    subject = describe(open_checkpoint(llama, adapter))
    state = "quant_state.bitsandbytes__nf4"
    packed = {name: state for name in subject.tensors if "_proj" in name}
    files = {name: stored(name, *what) for name, what in subject.tensors.items()}
    for name in packed:
        files[name] = stored(name, "U8", (10, 1))
        files |= {f"{name}.{part}": stored(part, "U8", (3,)) for part in ("absmax", state)}
    compare_headers(subject, files, packed)
    left = {name: t for name, t in files.items() if not name.endswith((gone, f"{gone}.{state}"))}
    with pytest.raises(IntegrityError, match=gone):
        compare_headers(subject, left, packed)


def stored(name: str, dtype: str, shape: tuple[int, ...]) -> StoredTensor:
    return StoredTensor(name=name, dtype=dtype, shape=shape, file=Path("file"), offset=0, nbytes=0)


def scaled(adapter: Path, folder: Path, part: str, factor: float) -> Path:
    shutil.copytree(adapter, folder)
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({n: t * factor if part in n else t for n, t in tensors.items()}, file)
    return folder


def test_adapter_that_changes_nothing(
    llama: Path, adapter: Path, tmp_path: Path, merge: Merge
) -> None:
    untrained = scaled(adapter, tmp_path / "untrained", "lora_B", 0.0)
    with pytest.raises(RefusedError, match="would be the base model"):
        merge(llama, untrained)


def test_change_below_the_storage_type_is_recorded(
    llama: Path, adapter: Path, tmp_path: Path, merge: Merge
) -> None:
    faint = scaled(adapter, tmp_path / "faint", "layers.0.mlp.up_proj.lora_B", 1e-9)
    proof: Any = merge(llama, faint).metadata["proof"]
    assert proof["too_small_to_change"] == ["model.layers.0.mlp.up_proj.weight"]
    assert proof["changed"] == 13


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_diverged_training(
    value: float, llama: Path, adapter: Path, tmp_path: Path, merge: Merge
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(adapter, broken)
    file = broken / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors["base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"][3, 1] = value
    save_file(tensors, file)
    with pytest.raises(SourceError, match=r"layers\.1\.mlp\.up_proj.*NaN"):
        merge(llama, broken)
    assert not (merge.root / "merged-16bit" / "model.safetensors").exists()


def test_overflow_of_float16(llama: Path, adapter: Path, tmp_path: Path, merge: Merge) -> None:
    loud = scaled(adapter, tmp_path / "loud", "layers.0.mlp.up_proj.lora_B", 1e7)
    with pytest.raises(SourceError, match="in float16"):
        merge(llama, loud, dtype="float16")


def test_nan_in_a_whole_module(llama: Path, tmp_path: Path, merge: Merge) -> None:
    folder = train(llama, tmp_path / "a", target_modules=["q_proj"], modules_to_save=["lm_head"])
    file = folder / "adapter_model.safetensors"
    tensors = load_file(file)
    tensors["base_model.model.lm_head.weight"][0, 0] = float("nan")
    save_file(tensors, file)
    with pytest.raises(SourceError, match="lm_head"):
        merge(llama, folder)
