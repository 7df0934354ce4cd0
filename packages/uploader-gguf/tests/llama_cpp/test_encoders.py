"""Who quantises makes no difference to the bytes, and nobody stores what is not finite."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import uploader_kernels
from gguf_checks import findings
from gguf_llamas import fine_tune
from gguf_oracles import context, convert
from uploader_core.plugin import IntegrityError, SourceError
from uploader_gguf import step
from uploader_gguf.format.quants import TensorType
from uploader_gguf.llama_cpp import encoders
from uploader_kernels.library import LEVEL, LEVELS

KINDS = (
    "F16", "Q8_0", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "IQ4_XS", "IQ3_M", "Q4_0", "Q5_0", "TQ2_0",
)  # fmt: skip


@pytest.fixture(scope="module")
def reference(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What llama.cpp's own kernels make."""
    place = tmp_path_factory.mktemp("reference")
    made = convert(llama_folder, place, KINDS, kernels="reference", smoke_test=False)
    return {kind: path.read_bytes() for kind, path in made.items()}


@pytest.mark.bits
@pytest.mark.parametrize("level", LEVELS)
def test_fast_kernels_make_the_same_files(
    level: str,
    reference: dict[str, bytes],
    llama_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv(LEVEL, raising=False)
    if LEVELS.index(level) > uploader_kernels.load().number:
        pytest.skip(f"this processor has no {level}")
    monkeypatch.setenv(LEVEL, level)
    made = convert(llama_folder, tmp_path, KINDS, smoke_test=False)
    assert {kind: path.read_bytes() for kind, path in made.items()} == reference
    assert "slower" not in caplog.text


def test_unknown_level_is_named_and_llama_cpp_does_the_work(
    reference: dict[str, bytes],
    llama_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(LEVEL, "mmx")
    notes = [finding.what for finding in findings(llama_folder) if finding.level == "note"]
    assert any(f"{LEVEL}=mmx is none of plain, avx2, avx512" in note for note in notes)
    with caplog.at_level(logging.WARNING):
        made = convert(llama_folder, tmp_path, ("Q4_K_M",), smoke_test=False)
    assert "slower than it could be: UPLOADER_KERNELS_LEVEL=mmx is none of" in caplog.text
    assert made["Q4_K_M"].read_bytes() == reference["Q4_K_M"]


@pytest.mark.parametrize(("wanted", "maker"), [("auto", "uploader-kernels"), ("reference", "xll")])
def test_metadata_says_who_quantised(
    wanted: str, maker: str, llama_folder: Path, tmp_path: Path
) -> None:
    given = context(llama_folder, tmp_path, quants=("Q8_0",), kernels=wanted, smoke_test=False)
    assert str(step.convert(given).metadata["kernels"]).startswith(maker)


def test_the_user_who_wants_llama_cpp_s_own_is_told_nothing(llama_folder: Path) -> None:
    assert not [f for f in findings(llama_folder, kernels="reference") if "kernels" in f.what]


def test_a_kernel_with_other_bytes_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    # As with a llama.cpp that was compiled to fuse its additions.
    stock = encoders.kernels.encode
    monkeypatch.setattr(encoders.kernels, "encode", lambda rows, *more: stock(rows * 1.5, *more))
    chosen = encoders.choose("auto", {TensorType.Q4_K, TensorType.Q6_K, TensorType.F16})
    assert chosen.trusted == frozenset()
    assert [reason.partition(":")[0] for reason in chosen.reasons] == ["Q4_K", "Q6_K"]


@pytest.fixture(scope="module")
def tuned(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fine_tune(llama_folder, tmp_path_factory.mktemp("tuned"), target_modules="all-linear")[0]


def damaged(folder: Path, copy: Path, file: str, name: str, value: float) -> Path:
    """Copy a model or an adapter, with a value in the last place of a tensor."""
    shutil.copytree(folder, copy)
    tensors = load_file(copy / file)
    tensors[name].view(-1)[-1] = value
    save_file(tensors, copy / file, {"format": "pt"})
    return copy


@pytest.mark.parametrize("wanted", ["auto", "reference"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("model.layers.1.mlp.up_proj.weight", "blk.1.ffn_up.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ],
)
def test_value_of_the_base_that_is_not_finite_is_refused_by_name(
    name: str, named: str, value: float, wanted: str, llama_folder: Path, tmp_path: Path
) -> None:
    base = damaged(llama_folder, tmp_path / "base", "model.safetensors", name, value)
    with pytest.raises(IntegrityError, match=f"{named}: a value is NaN or infinite") as error:
        convert(base, tmp_path, ("Q8_0", "Q4_K_M"), kernels=wanted, smoke_test=False)
    assert "in the base" in str(error.value.next)
    assert not [path for path in tmp_path.glob("gguf/*") if path.suffix == ".gguf"]


@pytest.mark.parametrize("wanted", ["auto", "reference"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_value_of_the_adapter_that_is_not_finite_is_refused_by_name(
    value: float, wanted: str, tuned: Path, llama_folder: Path, tmp_path: Path
) -> None:
    name = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"
    adapter = damaged(tuned, tmp_path / "adapter", "adapter_model.safetensors", name, value)
    with pytest.raises(SourceError, match=r"layers\.1\.mlp\.up_proj\.weight.*(NaN|infin)"):
        convert(
            llama_folder, tmp_path, ("Q4_K_M",),
            adapter=adapter, kernels=wanted, smoke_test=False,
        )  # fmt: skip


@pytest.mark.parametrize("wanted", ["auto", "reference"])
def test_value_that_half_cannot_hold_is_refused_by_name(
    wanted: str, llama_folder: Path, tmp_path: Path
) -> None:
    """It would be infinite in the F16 file that llama-quantize gets."""
    name = "model.layers.0.self_attn.q_proj.weight"
    base = damaged(llama_folder, tmp_path / "base", "model.safetensors", name, 70000.0)
    with pytest.raises(IntegrityError, match=r"blk\.0\.attn_q\.weight: .*stored as F16"):
        convert(base, tmp_path, ("Q4_K_M",), kernels=wanted, smoke_test=False)
