"""The pooling of an embedding model, from the layout of sentence-transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gguf_tokenizers import byte_level, keys_of, save_model
from uploader_gguf.llama_cpp.pooling import check_pooling, pooling_type

LAST = {"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True}


def put(folder: Path, pooling: dict[str, Any], *more: str) -> dict[str, Path]:
    names = ["Transformer", "Pooling", *more]
    entries = [
        {"path": f"{i}_{name}" if i else "", "type": f"sentence_transformers.models.{name}"}
        for i, name in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(entries), "utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), "utf-8")
    return {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("pooling", "number"),
    [(LAST, 3), ({"pooling_mode": "cls"}, 2), ({}, 1), ({"pooling_mode": ["mean", "max"]}, None)],
)
def test_modes_of_old_and_new_files(
    pooling: dict[str, Any], number: int | None, tmp_path: Path
) -> None:
    files = put(tmp_path, pooling)
    assert pooling_type(files) == number
    assert [f.level for f in check_pooling(files, {})] == ([] if number else ["error"])


def test_a_dense_layer_that_a_gguf_loses_is_refused_by_name(tmp_path: Path) -> None:
    (finding,) = check_pooling(put(tmp_path, LAST, "Dense"), {"architectures": ["Qwen3Model"]})
    assert finding.level == "error"
    assert "2_Dense" in finding.what


def test_an_architecture_whose_converter_does_not_look_gets_its_pooling(tmp_path: Path) -> None:
    folder = tmp_path / "Model"
    folder.mkdir()
    save_model(folder, len(byte_level(folder)))
    put(folder, LAST, "Normalize")
    assert keys_of(folder, tmp_path / "out")["llama.pooling_type"] == 3
