"""The sizes of a plan: of the tensors to the byte, of keys and vocabulary nearly so."""

from __future__ import annotations

from pathlib import Path

import pytest

from gguf_checks import plan_context
from gguf_models import ARCHITECTURES, build
from gguf_oracles import convert
from uploader_gguf import preflight
from uploader_gguf.format import gguf_file
from uploader_gguf.format.quants import QUANTS
from uploader_gguf.llama_cpp.weights import open_weights
from uploader_gguf.writing import sizes

# Those with a rule of their own: computed factors, one head for all, other names.
QUICK = ("llama3-rope", "falcon", "bert")
KINDS = ("F16", "Q8_0", "Q4_K_M", "Q5_K_S", "Q2_K")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in ARCHITECTURES]
)
def test_tensors_are_counted_to_the_byte(name: str, tmp_path: Path) -> None:
    model = build(name, tmp_path)
    files = convert(model, tmp_path / "out", KINDS, smoke_test=False, tokenizer_check=False)
    described = sizes.describe(open_weights(plan_context(model).input("checkpoint")))
    for kind, path in files.items():
        start = gguf_file.read_header(path).offsets[0]
        said = sizes.file_bytes(described, QUANTS[kind]) - described.header
        assert said == path.stat().st_size - start, kind
        # Never less than the file has, and a few kilobytes of many megabytes at most.
        assert 0 <= described.header - start < 8192


def test_levers_name_kinds_that_are_smaller(llama_folder: Path) -> None:
    said = preflight.estimate(plan_context(llama_folder, quants=("F16", "Q8_0", "Q4_K_M")))
    size = dict(said.files)
    levers = {lever.option: lever.saves for lever in said.levers}
    half = size["Tiny-Llama-F16.gguf"]
    eight = size["Tiny-Llama-Q8_0.gguf"]
    assert levers == {
        "--gguf-quants Q4_K_M": half + eight,
        "--gguf-quants Q4_K_M,Q8_0": half,
    }
    assert preflight.estimate(plan_context(llama_folder, quants=("Q8_0",))).levers == ()
