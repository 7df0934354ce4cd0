"""The public surface: names, shapes and types from headers, lazy reads from any thread.

Seen equal: torch and MKL with AVX2 and on their plain paths, in 1, 2 and 4 threads; AVX-512 in CI.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from saved_models import checkpoint_artifact, load_all, same_bits
from uploader_core.plugin import Artifact, PluginError
from uploader_merged import open_checkpoint

pytestmark = pytest.mark.bits

Q = "model.layers.0.self_attn.q_proj.weight"


def test_headers_say_everything(llama: Path, adapter: Path) -> None:
    checkpoint = open_checkpoint(llama, adapter)
    base = load_all(llama)
    assert set(checkpoint.names) == base.keys()
    assert all(checkpoint.shape(n) == tuple(t.shape) for n, t in base.items())
    assert {checkpoint.dtype(n) for n in checkpoint.names} == {"BF16"}
    assert checkpoint.nbytes == sum(t.nbytes for t in base.values())
    assert len(checkpoint.touched) == 14
    assert checkpoint.config["model_type"] == "llama"
    assert "generation_config.json" in checkpoint.auxiliary()


def test_artifact_or_folders(llama: Path, adapter: Path) -> None:
    by_artifact = open_checkpoint(checkpoint_artifact(llama, adapter))
    by_folder = open_checkpoint(str(llama), str(adapter))
    assert same_bits(by_artifact.read(Q), by_folder.read(Q))


def test_artifact_of_somebody_else(llama: Path) -> None:
    with pytest.raises(PluginError, match="does not say"):
        open_checkpoint(Artifact(kind="checkpoint", path=llama))


def test_rows_and_blocks_are_parts_of_the_whole(llama: Path, adapter: Path) -> None:
    checkpoint = open_checkpoint(llama, adapter)
    for name in checkpoint.names:
        whole = checkpoint.read(name)
        blocks = list(checkpoint.blocks(name, elements=500))
        assert len(blocks) > 1 or whole.numel() <= 500
        assert same_bits(torch.cat(blocks), whole)
        assert same_bits(checkpoint.read_rows(name, 3, 7), whole[3:7])


def test_threads(llama: Path, adapter: Path) -> None:
    checkpoint = open_checkpoint(llama, adapter)
    alone = {name: checkpoint.read(name) for name in checkpoint.names}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(checkpoint.read, checkpoint.names * 3))
    for name, tensor in zip(checkpoint.names * 3, together, strict=True):
        assert same_bits(tensor, alone[name])


def test_unknown_name(llama: Path) -> None:
    with pytest.raises(KeyError):
        open_checkpoint(llama).read("nothing")
