"""Pooling, prompts and dense layers of an embedding model: the fine-tune's, then the base's."""

from __future__ import annotations

import json
from pathlib import Path

from uploader_merged.base.companions import collect


def put(folder: Path, *modules: str, text: str = "{}") -> Path:
    """Write a modules.json and a folder for each module."""
    entries = [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, name in enumerate(modules, 1):
        kind = "sentence_transformers.models." + name.split("_")[1]
        entries.append({"idx": number, "path": name, "type": kind})
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(text)
    (folder / "modules.json").write_text(json.dumps(entries))
    return folder


def test_modules_of_the_base_are_carried(tmp_path: Path) -> None:
    base, adapter = put(tmp_path / "base", "1_Pooling", "2_Dense"), tmp_path / "adapter"
    (base / "2_Dense" / "model.safetensors").write_text("weights")
    adapter.mkdir()
    files = {f.name: (f.origin, f.role) for f in collect(base, [adapter])}
    assert files == {
        "modules.json": ("base", "config"),
        "1_Pooling/config.json": ("base", "config"),
        "2_Dense/config.json": ("base", "config"),
        "2_Dense/model.safetensors": ("base", "weights"),
    }


def test_modules_of_the_fine_tune_go_first_and_the_bases_others_stay_behind(
    tmp_path: Path,
) -> None:
    base = put(tmp_path / "base", "1_Pooling", "2_Dense")
    adapter = put(tmp_path / "adapter", "1_Pooling", text='{"pooling_mode_lasttoken": true}')
    files = {f.name: f.path for f in collect(base, [adapter])}
    assert set(files) == {"modules.json", "1_Pooling/config.json"}
    assert files["1_Pooling/config.json"] == adapter / "1_Pooling" / "config.json"
