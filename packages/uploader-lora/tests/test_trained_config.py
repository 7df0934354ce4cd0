"""Settings of the training that adapter_config.json has no place for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from uploader_lora.trained_config import config_findings

BASE: dict[str, Any] = {
    "model_type": "mistral",
    "sliding_window": None,
    "head_dim": None,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "torch_dtype": "bfloat16",
    "vocab_size": 100,
    "use_cache": True,
}


def said(folder: Path, **changes: object) -> list[str]:
    (folder / "config.json").write_text(json.dumps({**BASE, **changes}))
    return [finding.what for finding in config_findings(folder, BASE)]


def test_window_of_the_training_is_named(tmp_path: Path) -> None:
    (what,) = said(tmp_path, sliding_window=512, rms_norm_eps=1e-6)
    assert "rms_norm_eps 1e-06 (the base: 1e-05), sliding_window 512 (the base: null)" in what


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head_dim": 16, "use_cache": False, "torch_dtype": "float32", "transformers_version": "4"},
        {"vocab_size": 128, "pad_token_id": 3},  # told by the adapter's tensors and tokenizer
        {"rope_theta": 1e6},  # merged as it was trained: uploader_lora.positions
        {"model_type": "llama", "sliding_window": 512},  # of another model
    ],
    ids=str,
)
def test_what_changes_nothing_is_not(changes: dict[str, object], tmp_path: Path) -> None:
    assert not said(tmp_path, **changes)


def test_window_that_the_base_switches_off_is_none(tmp_path: Path) -> None:
    """Qwen2's files have a number beside the switch, and transformers saves null."""
    base = {**BASE, "sliding_window": 131072, "use_sliding_window": False}
    (tmp_path / "config.json").write_text(json.dumps({**base, "sliding_window": None}))
    assert not [*config_findings(tmp_path, base)]


def test_folder_without_a_configuration(tmp_path: Path) -> None:
    assert not [*config_findings(tmp_path, BASE)]
