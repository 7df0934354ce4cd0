"""Impossible values are refused, and no configuration that transformers itself makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uploader_core.plugin import SourceError
from uploader_merged.base.config_values import check_values

FILE = Path("config.json")


@pytest.mark.parametrize(
    "config",
    [
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": {"vision": -1}},
        {"text_config": {"num_experts": "8"}},
        {"architectures": {"a": 1}},
        {"_attn_implementation_internal": "me/a-kernel"},
    ],
)
def test_impossible_value_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(SourceError):
        check_values(FILE, config)


@pytest.mark.slow
def test_defaults_of_every_model_of_transformers_are_taken() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    refused, taken = {}, 0
    for name in CONFIG_MAPPING:
        try:
            config = json.loads(CONFIG_MAPPING[name]().to_json_string(use_diff=False))
        except Exception:  # what cannot be made without arguments
            continue
        try:
            check_values(FILE, config)
            taken += 1
        except SourceError as error:
            refused[name] = error.what
    assert refused == {}
    assert taken > 300
