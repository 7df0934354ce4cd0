"""Several fine-tunes of nothing, and a file that names them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A file with three runs, whose releases go to ``out``."""
    for name in ("french", "german", "greek"):
        folder = tmp_path / "outputs" / name
        folder.mkdir(parents=True)
        config = {"peft_type": "LORA", "base_model_name_or_path": None}
        (folder / "adapter_config.json").write_text(json.dumps(config), "utf-8")
        (folder / "adapter_model.safetensors").write_bytes(name.encode() * 16)
    file = tmp_path / "RUNS.toml"
    file.write_text(
        """
[defaults]
plugins = ["notes"]
output = "out/{name}"

[defaults.notes]
sizes = [1, 3]

[[run]]
source = "outputs/french"

[[run]]
source = "outputs/german"
name = "deutsch"

[[run]]
source = "outputs/greek"
notes = { text = "only here" }
""",
        "utf-8",
    )
    return file
