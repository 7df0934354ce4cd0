"""The modules that sentence-transformers puts around a transformer travel with it, or are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uploader_lora.companions import companion_files
from uploader_lora.modules import module_findings

ST = "sentence_transformers.models."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A transformer, its pooling, a dense layer, and a normalisation that has no files."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"),
               ("3_Normalize", "Normalize")]  # fmt: skip
    (tmp_path / "modules.json").write_text(
        json.dumps([{"idx": n, "path": p, "type": ST + t} for n, (p, t) in enumerate(modules)])
    )
    for name in ("config_sentence_transformers.json", "sentence_bert_config.json"):
        (tmp_path / name).write_text("{}")
    for name in ("1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


def refusals(folder: Path) -> list[str]:
    found = module_findings(companion_files(folder), (folder,))
    return [f.what for f in found if f.level == "error"]


def test_modules_travel_with_their_weights(folder: Path) -> None:
    assert set(companion_files(folder)) == {
        *("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"),
        *("1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"),
    }
    assert refusals(folder) == []


def test_a_folder_that_no_module_names_stays_behind(folder: Path) -> None:
    (folder / "4_Dense").mkdir()
    (folder / "4_Dense" / "config.json").write_text("{}")
    (folder / "20260101_120000").mkdir()
    (folder / "20260101_120000" / "config.json").write_text("{}")
    assert not {name for name in companion_files(folder) if name.startswith(("4", "20"))}


def test_pickled_weights_of_a_module_are_refused_by_name(folder: Path) -> None:
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    assert "2_Dense/pytorch_model.bin" not in companion_files(folder)
    (what,) = refusals(folder)
    assert "2_Dense/pytorch_model.bin" in what


def test_module_that_is_not_there_is_refused_by_name(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").unlink()
    (what,) = refusals(folder)
    assert "1_Pooling" in what


def test_module_with_code_of_its_own_is_refused_by_name(folder: Path) -> None:
    text = (folder / "modules.json").read_text()
    (folder / "modules.json").write_text(text.replace(ST + "Dense", "custom_st.Dense"))
    (what,) = refusals(folder)
    assert "custom_st.Dense" in what
