"""Pickles become safetensors with the same bits, and what they would run is not run."""

from __future__ import annotations

import json
import pickle
import subprocess
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from uploader_command import Uploader

SAVES = {
    "archive": {},
    "file of torch 1.5": {"_use_new_zipfile_serialization": False},
    "archive by pickle 4": {"pickle_protocol": 4},
}


def convert(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    uploader = Uploader(Path.cwd())
    uploader.environment |= variables
    return uploader("convert-pickle", *arguments)


def adapter() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    prefix = "base_model.model.model.layers"
    return {
        f"{prefix}.{layer}.self_attn.q_proj.lora_{part}.weight": torch.randn(shape).to(dtype)
        for layer, dtype in enumerate((torch.float32, torch.bfloat16, torch.float16))
        for part, shape in (("A", (4, 32)), ("B", (32, 4)))
    }


@pytest.mark.parametrize("options", SAVES.values(), ids=SAVES)
def test_adapter_of_peft_has_the_bits_of_safetensors(
    options: dict[str, Any], tmp_path: Path
) -> None:
    tensors = adapter()
    torch.save(OrderedDict(tensors), tmp_path / "adapter_model.bin", **options)

    done = convert(tmp_path)

    assert done.returncode == 0, done.stderr
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    ours = (tmp_path / "adapter_model.safetensors").read_bytes()
    assert len(ours) == (tmp_path / "theirs").stat().st_size
    assert load_file(tmp_path / "adapter_model.safetensors").keys() == tensors.keys()
    for name, tensor in load_file(tmp_path / "adapter_model.safetensors").items():
        assert tensor.dtype == tensors[name].dtype
        assert torch.equal(tensor.view(torch.uint8), tensors[name].view(torch.uint8))


def test_what_peft_saves_as_a_pickle_is_what_it_saves_as_safetensors(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model = torch.nn.Sequential(OrderedDict(one=torch.nn.Linear(16, 8), two=torch.nn.Linear(8, 4)))
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["one", "two"]))
    tuned.save_pretrained(tmp_path / "pickle", safe_serialization=False)
    tuned.save_pretrained(tmp_path / "safe")

    done = convert(tmp_path / "pickle", "--output", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    ours, theirs = (
        load_file(tmp_path / name / "adapter_model.safetensors") for name in ("out", "safe")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert (tmp_path / "out" / "adapter_config.json").is_file()


@pytest.mark.parametrize("options", SAVES.values(), ids=SAVES)
def test_shared_turned_and_cut_values_are_each_their_own(
    options: dict[str, Any], tmp_path: Path
) -> None:
    whole = torch.arange(60, dtype=torch.bfloat16).reshape(6, 10)
    tensors: dict[str, torch.Tensor] = {
        "whole": whole,
        "same": whole,
        "turned": whole.T,
        "cut": whole[1:3, 2:7],
        "every other": whole[::2, ::3],
        "row": whole[4],
        "scalar": whole[2, 3],
        "empty": whole[:0],
        "widened": whole[:1].expand(3, 10),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "numbers": torch.arange(5),
        "bytes": torch.arange(7, dtype=torch.uint8),
        "truth": torch.tensor([True, False]),
        "eight bits": torch.ones(3).to(torch.float8_e4m3fn),
    }
    torch.save(tensors, tmp_path / "x.bin", **options)

    done = convert(tmp_path / "x.bin", "--output", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    made = load_file(tmp_path / "out" / "x.safetensors")
    assert made.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert made[name].shape == tensor.shape and made[name].dtype == tensor.dtype
        assert made[name].tolist() == tensor.tolist()


class _Runs:
    def __init__(self, code: str) -> None:
        self._code = code

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, (self._code,)


@pytest.mark.parametrize("options", SAVES.values(), ids=SAVES)
def test_what_a_pickle_would_run_is_not_run(options: dict[str, Any], tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    hidden = {**adapter(), "z": _Runs(f"open({str(canary)!r}, 'w')")}
    torch.save(hidden, tmp_path / "adapter_model.bin", **options)

    done = convert(tmp_path)

    assert done.returncode == 4
    assert ".exec" in done.stderr and "was not run" in done.stderr
    assert "  next" in done.stderr and "Traceback" not in done.stderr
    assert not canary.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["adapter_model.bin"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"\x80\x02",
        pickle.dumps(7),
        b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little"),
    ],
)
def test_what_is_no_file_of_torch_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.bin").write_bytes(content)
    done = convert(tmp_path)
    assert done.returncode == 4
    assert "was not converted" in done.stderr and "Traceback" not in done.stderr


def test_what_is_no_tensor_is_left_out_and_told(tmp_path: Path) -> None:
    torch.save({**adapter(), "epoch": 3}, tmp_path / "adapter_model.bin")
    done = convert(tmp_path)
    assert done.returncode == 0
    assert "left out: 'epoch', a int" in done.stdout


def test_file_that_is_there_already_is_left(tmp_path: Path) -> None:
    torch.save(adapter(), tmp_path / "adapter_model.bin")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"mine")
    assert convert(tmp_path).returncode == 4
    assert (tmp_path / "adapter_model.safetensors").read_bytes() == b"mine"


def test_configuration_that_is_there_already_is_left(tmp_path: Path) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    for folder, text in ((source, "{}"), (out, "mine")):
        folder.mkdir()
        (folder / "adapter_config.json").write_text(text)
    torch.save(adapter(), source / "adapter_model.bin")
    assert convert(source, "--output", out).returncode == 4
    assert [path.name for path in out.iterdir()] == ["adapter_config.json"]
    assert (out / "adapter_config.json").read_text() == "mine"
    assert convert(source, "--output", source).returncode == 0


def sharded(folder: Path, **changes: str) -> dict[str, torch.Tensor]:
    """Write a checkpoint of two pickles, with what an index says of it."""
    tensors = adapter()
    halves = [dict([*tensors.items()][::2]), dict([*tensors.items()][1::2])]
    names = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    for name, half in zip(names, halves, strict=True):
        torch.save(half, folder / name)
    table = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    said = {"metadata": {"total_size": 1}, "weight_map": {**table, **changes}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(said))
    return tensors


def test_pickles_with_an_index_become_files_with_an_index(tmp_path: Path) -> None:
    tensors = sharded(tmp_path)

    done = convert(tmp_path, "--output", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors.values())
    assert index["weight_map"].keys() == tensors.keys()
    for name, shard in index["weight_map"].items():
        made = load_file(tmp_path / "out" / shard)[name]
        assert made.dtype == tensors[name].dtype
        assert torch.equal(made.view(torch.uint8), tensors[name].view(torch.uint8))


@pytest.mark.parametrize(
    "changes",
    [
        {"x": "../outside.bin"},
        {"x": "/etc/passwd"},
        {"x": "model.safetensors"},
        {"x": "pytorch_model-00003-of-00002.bin"},
        {"x": "pytorch_model-00001-of-00002.bin"},
        {next(iter(adapter())): "pytorch_model-00002-of-00002.bin"},
    ],
    ids=["outside", "absolute", "no pickle", "missing", "no such tensor", "another file"],
)
def test_index_that_says_what_is_not_so_is_refused(changes: dict[str, str], tmp_path: Path) -> None:
    sharded(tmp_path, **changes)
    before = sorted(tmp_path.iterdir())

    done = convert(tmp_path)

    assert done.returncode == 4, done.stderr
    assert "cannot be used" in done.stderr and "next" in done.stderr
    assert sorted(tmp_path.iterdir()) == before
