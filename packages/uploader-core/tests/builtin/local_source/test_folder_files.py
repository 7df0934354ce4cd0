"""Parts of a model in folders of their own are part of the source; a trainer's folders are not."""

from __future__ import annotations

from pathlib import Path

from uploader_core.builtin.local_source.folder_files import list_files


def test_parts_are_listed_and_a_trainers_folders_are_not(tmp_path: Path) -> None:
    for name in (
        "config.json",
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
        "additional_chat_templates/tools.jinja",
        "checkpoint-500/model.safetensors",
        "20260101_120000/config.json",
        "ref/adapter_config.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    listed = {file.name: file.role for file in list_files(tmp_path)}
    assert listed == {
        "config.json": "config",
        "1_Pooling/config.json": "config",
        "2_Dense/model.safetensors": "weights",
        "additional_chat_templates/tools.jinja": "config",
    }
