"""vLLM's own parser and its loading of our files; ``nox -s engines`` installs it, without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import vllm_loading
from compressed_models import save
from compressed_tools import compress
from uploader_compressed.schemes import SCHEMES

compressed_tensors: Any = pytest.importorskip(
    "vllm.model_executor.layers.quantization.compressed_tensors.compressed_tensors",
    reason="nox -s engines installs vLLM",
)

SERVED_BY = {
    "fp8-dynamic": ("CompressedTensorsW8A8Fp8", "CompressedTensorsW8A16Fp8"),
    "fp8-block": ("CompressedTensorsW8A8Fp8", "CompressedTensorsW8A16Fp8"),
    "w8a8": ("CompressedTensorsW8A8Int8",),
    "w8a8-gptq": ("CompressedTensorsW8A8Int8",),
    "w4a16": ("CompressedTensorsWNA16",),
    "w4a16-gptq": ("CompressedTensorsWNA16",),
    "w8a16": ("CompressedTensorsWNA16",),
    "nvfp4a16": ("CompressedTensorsW4A4Fp4",),
    "mxfp4": ("CompressedTensorsW4A4Mxfp4",),
}
"""Its schemes that take each kind; FP8 by what the GPU can do."""


@pytest.mark.parametrize("kind", SCHEMES)
def test_it_finds_a_scheme_for_every_kind(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = compressed_tensors.CompressedTensorsConfig.from_config(SCHEMES[kind].config(["lm_head"]))
    made: list[str] = []
    for name in SERVED_BY[kind]:
        # Its constructor looks for kernels of a GPU; which class it is, is what is asked here.
        without_kernels = type(
            name,
            (getattr(compressed_tensors, name),),
            {"__init__": lambda self, *_, **__: made.append(type(self).__name__)},
        )
        monkeypatch.setattr(compressed_tensors, name, without_kernels)
    monkeypatch.setattr(read, "_check_scheme_supported", lambda *_, **__: True)
    (scheme,) = read.target_scheme_map.values()
    read._get_scheme_from_parts(
        scheme["weights"], scheme["input_activations"], format=scheme.get("format")
    )
    assert len(made) == 1
    assert read.ignore == ["lm_head"]


FUSED = ("granite-moe", "llama4")


def test_it_loads_fused_experts_that_were_taken_apart(tmp_path: Path) -> None:
    """Codes and scales of every expert; of the schemes, a processor can build FP8's alone."""
    for kind in FUSED:
        base = save(kind, tmp_path / kind / "base", torch.float32)
        compress(tmp_path / kind, base, None, "fp8-dynamic")
    folders = [str(tmp_path / kind / "compressed-fp8-dynamic") for kind in FUSED]
    done = subprocess.run(  # noqa: S603 - this interpreter, our script
        [sys.executable, vllm_loading.__file__, *folders],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for found in json.loads(done.stdout.splitlines()[-1]):
        assert found["refused"] == ""
        # Scales of a quantised cache, which the files have none of.
        assert [name for name in found["left"] if ".attn." not in name] == []
