"""Bad input is refused before the first byte, with what to do instead."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gguf_checks import findings
from gguf_llamas import byte_level_tokenizer, llama
from gguf_models import build
from gguf_oracles import context, convert, save_imatrix
from uploader_core.plugin import RefusedError, UploaderError
from uploader_gguf import step
from uploader_gguf.format.gguf_file import read_header
from uploader_gguf.llama_cpp.converter import reason_of


def with_config(folder: Path, place: Path, **config: Any) -> Path:
    copy = place / "model"
    shutil.copytree(folder, copy)
    path = copy / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | config), "utf-8")
    return copy


def written(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if ".gguf" in path.name]


@pytest.mark.parametrize(
    ("config", "what", "advice"),
    [
        pytest.param(
            {"quantization_config": {"quant_method": "torchao", "load_in_8bit": True}},
            "torchao",
            "--base",
            id="torchao",
        ),
        pytest.param(
            {"quantization_config": {"quant_method": "hqq", "bits": 4}},
            "hqq",
            "--base",
            id="hqq",
        ),
        pytest.param(
            {"architectures": ["SomethingNewForCausalLM"]},
            "cannot convert the architecture SomethingNewForCausalLM",
            "--gguf-llama-cpp DIR",
            id="architecture",
        ),
        pytest.param({"architectures": None}, "which architecture", "config.json", id="nameless"),
    ],
)
def test_a_checkpoint_that_no_gguf_can_be_made_from(
    config: dict[str, Any], what: str, advice: str, llama_folder: Path, tmp_path: Path
) -> None:
    folder = with_config(llama_folder, tmp_path, **config)
    try:
        found = [(finding.level, finding.what, str(finding.next)) for finding in findings(folder)]
    except UploaderError as error:  # the checkpoint itself says no
        found = [("error", str(error), str(error.next))]
    assert any(level == "error" and what in text and advice in nxt for level, text, nxt in found)
    assert written(tmp_path) == []


def test_rows_that_no_type_fits(tmp_path: Path) -> None:
    folder = llama(
        tmp_path / "Narrow", hidden=40, dtype=torch.float32, tokenizer=byte_level_tokenizer
    )
    with pytest.raises(RefusedError, match=r"rows of 40 values, which Q\d_0 cannot store") as error:
        convert(folder, tmp_path / "out", ("Q8_0", "Q4_0"))
    assert "BF16 with --gguf-quants" in str(error.value.next)
    assert written(tmp_path) == []
    # What the advice names works.
    assert convert(folder, tmp_path / "again", ("BF16",))["BF16"].is_file()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_importance_matrix_that_is_not_finite(
    value: float, llama_folder: Path, tmp_path: Path
) -> None:
    values = np.ones(256, np.float32)
    values[7] = value
    matrix = save_imatrix(tmp_path / "matrix.bin", {"blk.0.attn_q.weight": values})
    with pytest.raises(RefusedError, match="not finite"):
        convert(llama_folder, tmp_path, ("Q4_K_M",), imatrix=matrix)
    assert written(tmp_path) == []


def test_an_importance_matrix_that_lacks_a_tensor(llama_folder: Path, tmp_path: Path) -> None:
    matrix = save_imatrix(
        tmp_path / "matrix.bin", {"blk.0.attn_q.weight": np.ones(256, np.float32)}
    )
    with pytest.raises(RefusedError, match=r"garbage without an importance matrix entry"):
        convert(llama_folder, tmp_path, ("IQ2_XS",), imatrix=matrix)
    assert written(tmp_path) == []


def test_a_tokenizer_that_nobody_knows(llama_folder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, pre_tokenizers

    folder = llama(
        tmp_path / "Strange", hidden=96, dtype=torch.float32, tokenizer=byte_level_tokenizer
    )
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(RefusedError, match="does not know this tokenizer") as error:
        step.convert(context(folder, tmp_path / "out", quants=("F16",)))
    assert "--gguf-pre-tokenizer" in str(error.value.next)
    assert written(tmp_path) == []


def with_head(name: str, place: Path) -> Path:
    """Save a model that its configuration calls tied, beside a head with other values."""
    folder = build(name, place)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].flip(0).contiguous()
    save_file(tensors, file, {"format": "pt"})
    return with_config(folder, place, tie_word_embeddings=True)


def test_a_head_that_llama_cpp_has_no_place_for(tmp_path: Path) -> None:
    """The converter leaves it out without a word, and llama.cpp computes with the embedding."""
    folder = with_head("gemma2", tmp_path)
    assert [f.what for f in findings(folder) if f.level == "error" and "lm_head.weight" in f.what]
    with pytest.raises(RefusedError, match=r"lm_head\.weight differs from the input embedding"):
        convert(folder, tmp_path / "out", ("Q8_0",))
    assert written(tmp_path) == []


def test_a_head_that_the_flag_denies_is_kept(tmp_path: Path) -> None:
    folder = with_head("qwen2", tmp_path)
    made = convert(folder, tmp_path / "out", ("BF16",))
    (file,) = made.values()
    assert "output.weight" in {tensor.name for tensor in read_header(file).tensors}
    about = [f.level for f in findings(folder) if "tie_word_embeddings" in f.what]
    assert about == ["warning"]


def test_a_check_of_the_converter_that_says_nothing_is_named_by_its_line() -> None:
    rows, tokens = 420, 421
    try:
        assert tokens <= rows, ""
    except AssertionError as error:
        error.args = ()
        assert re.fullmatch(
            r"AssertionError at test_refusals\.py:\d+, assert tokens <= rows.*", reason_of(error)
        )
    assert reason_of(ValueError("Duplicated key name")) == "Duplicated key name"
