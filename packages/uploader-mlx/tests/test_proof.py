"""What is wrong in finished files is found."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import pytest

from mlx_tools import load_all, make
from uploader_core.plugin import IntegrityError
from uploader_merged import open_checkpoint
from uploader_mlx.folder import plan_folder
from uploader_mlx.kinds import SIXTEEN
from uploader_mlx.proof import prove_written
from uploader_mlx.settings import QuantSettings, Settings


@pytest.mark.parametrize("kind", [SIXTEEN, "4bit", "6bit", "mxfp8", "nvfp4"])
def test_a_code_that_changed_is_found(llama: Path, tmp_path: Path, kind: str) -> None:
    make(tmp_path, llama, None, kind)
    path = tmp_path / kind / "model.safetensors"
    settings = Settings() if kind == SIXTEEN else QuantSettings(quants=(kind,))
    checkpoint = open_checkpoint(llama)
    folder = plan_folder(checkpoint, kind, settings)
    assert prove_written(checkpoint, folder, path.parent)["headers"] == 1
    name = "model.layers.0.mlp.down_proj.weight"
    written = load_all(path.parent)
    data = bytearray(path.read_bytes())
    # Every bit of the matrix the other way round.
    start = bytes(data).index(bytes(memoryview(written[name].view(mx.uint8))))
    for place in range(start, start + written[name].nbytes):
        data[place] ^= 255
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"layers\.0\.mlp\.down_proj"):
        prove_written(checkpoint, folder, path.parent)
