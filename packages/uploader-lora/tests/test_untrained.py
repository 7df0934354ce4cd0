"""Adapters as they are before the first step of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lora_tools import plan_context, save_adapter
from uploader_core.plugin import Finding
from uploader_lora import read_adapter
from uploader_lora.save import check
from uploader_lora.untrained import untrained_findings


def found(folder: Path) -> list[Finding]:
    return [*untrained_findings(read_adapter(folder))]


@pytest.mark.parametrize(
    "flags",
    [{}, {"use_dora": True}, {"target_modules": ["embed_tokens", "q_proj"]}],
    ids=["lora", "dora", "embedding"],
)
def test_one_that_changes_nothing_is_warned_of(tmp_path: Path, flags: dict[str, Any]) -> None:
    folder = save_adapter(tmp_path / "adapter", trained=False, **flags)
    (warning,) = found(folder)
    assert warning.level == "warning"
    assert "every answer with this adapter is the base model's" in warning.what
    assert warning in [*check(plan_context(folder))]


@pytest.mark.parametrize(
    "flags",
    [{}, {"use_dora": True}, {"target_modules": ["embed_tokens", "q_proj"]}],
    ids=["lora", "dora", "embedding"],
)
def test_nothing_is_said_of_a_trained_one(tmp_path: Path, flags: dict[str, Any]) -> None:
    assert found(save_adapter(tmp_path / "adapter", **flags)) == []


@pytest.mark.parametrize(
    "flags",
    [{"modules_to_save": ["lm_head"]}, {"init_lora_weights": "pissa"}],
    ids=["whole module", "pissa"],
)
def test_nothing_is_said_where_something_else_may_be_trained(
    tmp_path: Path, flags: dict[str, Any]
) -> None:
    flags = {"target_modules": ["q_proj"], **flags}
    folder = save_adapter(tmp_path / "adapter", trained=False, **flags)
    assert found(folder) == []
