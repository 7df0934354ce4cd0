"""Bases in other forms: 4-bit of bitsandbytes and block-scaled fp8, widened as they are read.

Values are equal on every path of bitsandbytes; the sign of FP4's second zero is not. Seen: AVX2 and
plain C++ and torch's formula, torch with AVX2 and on its plain path.
"""

from __future__ import annotations

import json
import math
import platform
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from json_files import edit_json
from merged_models import save
from merged_tools import Merge, train
from saved_models import load_all, same_bits
from uploader_core.plugin import SourceError
from uploader_lora import read_header
from uploader_merged import open_checkpoint
from uploader_merged.base.packed import original_name, widen
from uploader_merged.compute.tensors import load
from uploader_merged.preflight import check

pytestmark = pytest.mark.bits


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("llama", tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="module")
def adapter(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(wide, tmp_path_factory.mktemp("adapter"), r=4, target_modules="all-linear")


@pytest.fixture(params=["nf4", "nf4, single", "fp4"])
def four_bit(request: pytest.FixtureRequest, wide: Path, tmp_path: Path) -> Path:
    pytest.importorskip("bitsandbytes")
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=request.param[:3],
        bnb_4bit_use_double_quant="single" not in request.param,
    )
    model = AutoModelForCausalLM.from_pretrained(wide, quantization_config=config, dtype="auto")
    model.save_pretrained(tmp_path / "four")
    return tmp_path / "four"


def test_four_bits_are_widened_as_bitsandbytes_does(four_bit: Path) -> None:
    import bitsandbytes.functional as bnb

    stored = load_all(four_bit)
    checkpoint = open_checkpoint(four_bit)
    assert {n for n in stored if stored[n].dtype == torch.bfloat16} <= set(checkpoint.names)
    packed = [n for n in stored if stored[n].dtype == torch.uint8 and n.endswith(".weight")]
    assert len(packed) == 14
    for name in packed:
        parts = {
            n.removeprefix(f"{name}."): t for n, t in stored.items() if n.startswith(f"{name}.")
        }
        state = bnb.QuantState.from_dict(parts, device=torch.device("cpu"))
        expected = bnb.dequantize_4bit(stored[name], state)
        # Equal values: FP4's second zero has another sign on some paths, see below.
        assert torch.equal(checkpoint.read(name), expected)
        assert torch.equal(checkpoint.read_rows(name, 3, 11), expected[3:11])


def zero_of_code_8(width: int) -> float:
    """Return what bitsandbytes 0.50.2 makes of FP4's code 8 in a matrix of this width.

    Its table says 0.0, and so do its vectors (AVX-512, NEON) and its formula in torch, which takes
    rows of odd length. Its plain C++ says -0.0: that is what all other rows go through on a
    processor with AVX2 alone and on Windows, and rows that do not fill a vector everywhere. Plain
    C++ and torch were seen, AVX-512 in CI; NEON and Windows are read from the source.
    """
    from bitsandbytes.cextension import lib

    if width % 2:
        return 0.0
    if platform.system() == "Windows":
        return -0.0
    if platform.machine().lower() in ("arm64", "aarch64"):
        return 0.0 if width % 64 == 0 else -0.0
    return 0.0 if width % 16 == 0 and lib.has_avx512f_cpu() else -0.0


@pytest.mark.parametrize("width", [64, 40, 63], ids=["vectors", "plain C++", "torch"])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_every_path_of_bitsandbytes_gives_these_values(
    kind: str, width: int, tmp_path: Path
) -> None:
    bnb = pytest.importorskip("bitsandbytes.functional")
    torch.manual_seed(6)
    weight = torch.randn(24, width).bfloat16()
    codes, state = bnb.quantize_4bit(weight, quant_type=kind, compress_statistics=True)
    parts = {f"w.{name}": part for name, part in state.as_dict(packed=True).items()}
    file = tmp_path / "model.safetensors"
    save_file({"w": codes, **parts}, file)
    config = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    ours = load(widen(tmp_path, config, read_header(file).tensors)[1]["w"])
    theirs = bnb.dequantize_4bit(codes, state)
    assert torch.equal(ours, theirs)
    # Two codes in a byte, the first in the high half.
    eights = torch.stack([codes >> 4, codes & 15], 1).view(-1)[: ours.numel()].view(ours.shape) == 8
    assert eights.any()
    if kind == "fp4":
        assert same_bits(ours[eights], torch.zeros_like(ours[eights]))
        expected = torch.full_like(theirs[eights], zero_of_code_8(width))
        assert same_bits(theirs[eights], expected)
        ours, theirs = ours[~eights], theirs[~eights]
    assert same_bits(ours, theirs)


def test_merge_into_four_bits(four_bit: Path, adapter: Path, merge: Merge) -> None:
    from transformers import AutoModelForCausalLM

    made = merge(four_bit, adapter)
    config = json.loads((made.path / "config.json").read_text())
    assert "quantization_config" not in config
    model = AutoModelForCausalLM.from_pretrained(made.path, dtype="auto")
    assert model.dtype == torch.bfloat16
    (finding,) = [f for f in check(merge.plan(four_bit, adapter)) if "quantised" in f.what]
    assert finding.level == "warning"
    assert "--base" in (finding.next or "")


def to_fp8(wide: Path, folder: Path, block: int = 24) -> Path:
    folder.mkdir()
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in load_all(wide).items():
        if "proj.weight" not in name:
            tensors[name] = tensor
            continue
        rows, columns = (math.ceil(n / block) for n in tensor.shape)
        scale = torch.rand(rows, columns) + 0.5
        spread = scale.repeat_interleave(block, 0).repeat_interleave(block, 1)
        spread = spread[: tensor.shape[0], : tensor.shape[1]]
        tensors[name] = (tensor.float() / spread).to(torch.float8_e4m3fn)
        tensors[f"{name}_scale_inv"] = scale
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes((wide / "config.json").read_bytes())
    quantisation = {"quant_method": "fp8", "weight_block_size": [block, block]}
    edit_json(folder / "config.json", quantization_config=quantisation)
    return folder


def test_fp8_with_scales_for_blocks(
    wide: Path, adapter: Path, tmp_path: Path, merge: Merge
) -> None:
    base = to_fp8(wide, tmp_path / "fp8")
    stored = load_all(base)
    checkpoint = open_checkpoint(base)
    for name in checkpoint.names:
        if f"{name}_scale_inv" not in stored:
            assert same_bits(checkpoint.read(name), stored[name])
            continue
        scale = stored[f"{name}_scale_inv"].repeat_interleave(24, 0).repeat_interleave(24, 1)
        rows, columns = stored[name].shape
        expected = (stored[name].float() * scale[:rows, :columns]).bfloat16()
        assert same_bits(checkpoint.read(name), expected)
        assert same_bits(checkpoint.read_rows(name, 5, 30), expected[5:30])
    made = merge(base, adapter)
    assert load_all(made.path).keys() == load_all(wide).keys()


def cut_scale(base: Path) -> None:
    tensors = load_all(base)
    name = next(n for n in tensors if n.endswith("_scale_inv"))
    tensors[name] = tensors[name][:1].contiguous()
    save_file(tensors, base / "model.safetensors")


def drop_scale(base: Path) -> None:
    tensors = load_all(base)
    del tensors[next(n for n in tensors if n.endswith("_scale_inv"))]
    save_file(tensors, base / "model.safetensors")


@pytest.mark.parametrize("damage", [cut_scale, drop_scale])
def test_scales_that_do_not_fit(damage: Any, wide: Path, tmp_path: Path) -> None:
    base = to_fp8(wide, tmp_path / "fp8")
    damage(base)
    with pytest.raises(SourceError, match="scales"):
        open_checkpoint(base)


def test_state_that_lies(four_bit: Path) -> None:
    tensors = load_all(four_bit)
    name = next(n for n in tensors if "quant_state" in n)
    state = json.loads(bytes(tensors[name].tolist()))
    for change in ({"shape": [1, 1]}, {"blocksize": 0}, {"dtype": "int4"}, {"shape": "x"}):
        text = json.dumps({**state, **change}).encode()
        changed = {**tensors, name: torch.tensor(list(text), dtype=torch.uint8)}
        save_file(changed, four_bit / "model.safetensors")
        with pytest.raises(SourceError, match="state|fit together"):
            open_checkpoint(four_bit)


@pytest.mark.parametrize("method", ["gptq", "awq", "mxfp4", "compressed-tensors"])
def test_forms_that_are_not_known(method: str, wide: Path, tmp_path: Path) -> None:
    base = to_fp8(wide, tmp_path / "base")
    edit_json(base / "config.json", quantization_config={"quant_method": method})
    with pytest.raises(SourceError, match=method) as caught:
        open_checkpoint(base)
    assert "--base" in (caught.value.next or "")


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("unsloth/llama-3-8b-bnb-4bit", "unsloth/llama-3-8b"),
        ("unsloth/Qwen3-4B-unsloth-bnb-4bit", "unsloth/Qwen3-4B"),
        ("Qwen/Qwen3-4B-FP8", "Qwen/Qwen3-4B"),
        ("meta-llama/Llama-3.2-1B", None),
    ],
)
def test_name_of_the_16_bit_model(name: str, original: str | None) -> None:
    assert original_name(name) == original


@pytest.mark.parametrize(
    "said",
    [
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "mxfp4"},
    ],
    ids=str,
)
def test_configuration_that_stayed_behind_when_the_weights_were_widened(
    said: dict[str, Any], wide: Path, tmp_path: Path, merge: Merge
) -> None:
    """``model.dequantize()`` leaves it, and transformers takes the weights for packed ones."""
    import shutil

    base = Path(shutil.copytree(wide, tmp_path / "base"))
    edit_json(base / "config.json", quantization_config=said)
    assert any(
        "quantization_config is left out" in finding.what
        for finding in check(merge.plan(base, None))
    )
    made = merge(base, None)
    assert "quantization_config" not in json.loads((made.path / "config.json").read_text())
    ours, theirs = load_all(made.path), load_all(wide)
    assert all(same_bits(ours[name], theirs[name]) for name in theirs)


def test_method_that_still_computes_with_wide_weights(wide: Path, tmp_path: Path) -> None:
    """BitNet's master weights are rounded whenever they are used."""
    import shutil

    base = Path(shutil.copytree(wide, tmp_path / "base"))
    edit_json(base / "config.json", quantization_config={"quant_method": "bitnet"})
    with pytest.raises(SourceError, match="bitnet"):
        open_checkpoint(base)
