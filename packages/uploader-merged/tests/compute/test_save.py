"""A file of tensors that cannot be written says why, as other files do."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from uploader_merged.compute.tensors import save_tensors


def test_what_is_written_is_read(tmp_path: Path) -> None:
    save_tensors({"a": torch.arange(3)}, tmp_path / "a.safetensors")
    assert load_file(tmp_path / "a.safetensors")["a"].tolist() == [0, 1, 2]


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere") as failed:
        save_tensors({"a": torch.arange(3)}, tmp_path / "nowhere" / "a.safetensors")
    assert failed.value.errno == errno.ENOENT
