"""Fixtures; the tools behind them are in lora_tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_tools import save_adapter


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return save_adapter(tmp_path / "final_model", target_modules=["q_proj", "v_proj"])
