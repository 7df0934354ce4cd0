"""vLLM's own parser of our configuration; ``nox -s engines`` installs it, without a GPU."""

from __future__ import annotations

from typing import Any

import pytest

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
