"""Layers and modules that the configuration means and the file does not hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from lora_tools import edit_json, save_adapter, tiny_llama
from uploader_lora import read_adapter
from uploader_lora.lost import find_lost, lost_findings

BOTH = ["q_proj", "v_proj"]


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [*tiny_llama().state_dict()]


def drop(folder: Path, part: str) -> None:
    file = folder / "adapter_model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if part not in k}, file)


def test_layer_that_was_not_gathered_is_an_error(names: list[str], tmp_path: Path) -> None:
    folder = save_adapter(tmp_path, target_modules=BOTH)
    drop(folder, "layers.1.")
    (finding,) = lost_findings(read_adapter(folder), names, {"num_hidden_layers": 2})
    assert finding.level == "error"
    assert "every layer of model.layers" in finding.what
    # What it says helps.
    assert '"layers_to_transform": [0]' in str(finding.next)
    edit_json(folder / "adapter_config.json", layers_to_transform=[0])
    assert not [*lost_findings(read_adapter(folder), names, {"num_hidden_layers": 2})]


@pytest.mark.parametrize("part", ["v_proj", "layers.1.self_attn.v_proj"])
def test_module_of_a_layer_is_a_warning(part: str, names: list[str], tmp_path: Path) -> None:
    folder = save_adapter(tmp_path, target_modules=BOTH)
    drop(folder, part)
    (finding,) = lost_findings(read_adapter(folder), names, {"num_hidden_layers": 2})
    assert finding.level == "warning"
    assert "model.layers.1.self_attn.v_proj" in finding.what


@pytest.mark.parametrize(
    "flags",
    [
        {"target_modules": "all-linear"},
        {"target_modules": BOTH, "layers_to_transform": [1]},
        {"target_modules": BOTH, "layers_to_transform": 1},
        {"target_modules": BOTH, "exclude_modules": ["model.layers.0.self_attn.v_proj"]},
        {"target_modules": BOTH, "exclude_modules": r".*layers\.0\..*"},
        {"target_modules": r".*layers\.1\.self_attn\.(q|v)_proj"},
        {"target_modules": ["model.layers.1.self_attn.q_proj", "up_proj"]},
    ],
    ids=str,
)
def test_what_training_left_out_is_not_missed(
    flags: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    assert not [
        *find_lost(read_adapter(save_adapter(tmp_path, **flags)), names, {"num_hidden_layers": 2})
    ]


def test_files_of_the_base_have_other_names_and_more_layers(tmp_path: Path) -> None:
    """A vision tower, and a layer that predicts more tokens, which is not in memory in training."""
    folder = save_adapter(tmp_path, target_modules=BOTH)
    more = [
        f"{stack}.{n}.self_attn.{leaf}.weight"
        for stack, count in (("language_model.model.layers", 3), ("vision_tower.encoder.layers", 1))
        for n in range(count)
        for leaf in BOTH
    ]
    assert not [*find_lost(read_adapter(folder), more, {"num_hidden_layers": 2})]
    assert [
        lost.layers for lost in find_lost(read_adapter(folder), more, {"num_hidden_layers": 3})
    ] == [(2,)]


def test_keys_and_values_that_a_layer_takes_from_another_are_not_missed(tmp_path: Path) -> None:
    """Files of Gemma 3n and 4 have them, and no model in memory does."""
    folder = save_adapter(tmp_path, target_modules=BOTH)
    drop(folder, "layers.1.self_attn.v_proj")
    sizes = {"num_hidden_layers": 2, "num_kv_shared_layers": 1}
    names = [*tiny_llama().state_dict()]
    assert not [*find_lost(read_adapter(folder), names, {"text_config": sizes})]
