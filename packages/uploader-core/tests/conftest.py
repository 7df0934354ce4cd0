"""Real little plugin distributions, and sources for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks_plugin import BLOCKS_PLUGIN, BLOCKS_WORK
from notes_plugin import NOTES_PLUGIN, NOTES_WORK


@pytest.fixture
def notes_plugin(install: Callable[..., None]) -> None:
    """A format plugin of a third party: ``acme.notes`` and ``acme.digest``."""
    install(
        "acme-notes",
        {
            "acme_notes.__init__": "",
            "acme_notes.plugin": NOTES_PLUGIN,
            "acme_notes.work": NOTES_WORK,
        },
        {
            "plugins": {"notes": "acme_notes.plugin"},
            "artifacts": {
                "acme.notes": "acme_notes.plugin",
                "acme.digest": "acme_notes.plugin",
            },
        },
        version="2.5",
    )


@pytest.fixture
def blocks_plugin(install: Callable[..., None]) -> None:
    """A format plugin of a third party whose work splits: ``acme.blocks``."""
    install(
        "acme-blocks",
        {
            "acme_blocks.__init__": "",
            "acme_blocks.plugin": BLOCKS_PLUGIN,
            "acme_blocks.work": BLOCKS_WORK,
        },
        {
            "plugins": {"blocks": "acme_blocks.plugin"},
            "artifacts": {"acme.blocks": "acme_blocks.plugin"},
        },
        version="1.0",
    )


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A folder that core takes for an adapter; what is in the tensors is the plugins' business."""
    folder = tmp_path / "run-1" / "final_model"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": None}), "utf-8"
    )
    (folder / "adapter_model.safetensors").write_bytes(b"\0" * 64)
    return folder
