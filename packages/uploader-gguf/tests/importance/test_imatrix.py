"""Importance matrices: both file formats, equal bytes, and refusals before the first byte.

ggml has one path in the wheels of both packages, that for AVX2, and it is seen equal there.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from gguf_models import build
from gguf_oracles import convert, llama_quantize, same, save_imatrix
from uploader_core.plugin import RefusedError
from uploader_gguf.format.gguf_file import read_header
from uploader_gguf.format.shapes import TensorShape
from uploader_gguf.format.tensor_roles import allows_quantization
from uploader_gguf.importance import calibration, imatrix
from uploader_gguf.llama_cpp import library

pytestmark = pytest.mark.bits

QUICK = ("Q4_K_M", "Q6_K", "Q2_K_S", "Q4_0", "IQ4_XS")
SLOW = (
    "Q5_K_M", "Q3_K_M", "Q2_K", "Q5_0", "IQ4_NL", "IQ3_M", "IQ3_S", "IQ3_XS",
    "IQ3_XXS", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S",
)  # fmt: skip


def random_importance(half: Path) -> dict[str, np.ndarray]:
    """Return values for every matrix, as a run over text would give."""
    generator = np.random.default_rng(5)
    tensors = read_header(half).tensors
    return {
        t.name: generator.gamma(0.5, 2.0, t.shape[-1]).astype(np.float32)
        for t in tensors
        if allows_quantization(TensorShape(name=t.name, shape=t.shape, stored=t.kind))
        and t.name != "token_embd.weight"
    }


@pytest.fixture(scope="module", params=["llama_folder", "odd_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def half(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("half")
    return convert(folder, place, ("F16",), smoke_test=False)["F16"]


def compare(folder: Path, half: Path, place: Path, kinds: tuple[str, ...]) -> None:
    importance = random_importance(half)
    file = save_imatrix(place / "imatrix.gguf", importance)
    ours = convert(folder, place, kinds, imatrix=file, smoke_test=False)
    for kind in kinds:
        theirs = llama_quantize(half, place / "theirs.gguf", kind, importance=importance)
        # IQ1_M's search changed in ggml between b10605, which cyllama has, and b11549.
        newer = kind == "IQ1_M" and int(library.version().rpartition(".")[2]) > 10605
        tolerate = 0.005 if newer else 0.0
        same(ours[kind], theirs, ignore="quantize.imatrix.", tolerate=tolerate)


def test_bytes_equal_llama_quantize_with_the_same_matrix(
    folder: Path, half: Path, tmp_path: Path
) -> None:
    compare(folder, half, tmp_path, QUICK)


@pytest.mark.slow
def test_bytes_of_the_searching_kinds_equal_llama_quantize(
    folder: Path, half: Path, tmp_path: Path
) -> None:
    compare(folder, half, tmp_path, SLOW)


def test_keys_name_the_file_but_no_folder(folder: Path, half: Path, tmp_path: Path) -> None:
    file = save_imatrix(tmp_path / "imatrix.gguf", random_importance(half))
    made = convert(folder, tmp_path, ("Q4_K_M",), imatrix=file, smoke_test=False)
    keys = read_header(made["Q4_K_M"]).keys
    assert keys["quantize.imatrix.file"] == "imatrix.gguf"
    assert keys["quantize.imatrix.dataset"] == "calib.txt"
    assert keys["quantize.imatrix.chunks_count"] == 7


def test_the_older_format_says_the_same(tmp_path: Path, half: Path) -> None:
    importance = random_importance(half)
    old = tmp_path / "imatrix.dat"
    body = struct.pack("<i", len(importance))
    for name, values in importance.items():
        body += struct.pack("<i", len(name)) + name.encode()
        body += struct.pack("<ii", 2, values.size) + (values * np.float32(2)).tobytes()
    old.write_bytes(body + struct.pack("<ii", 7, 9) + b"calib.txt")
    new = imatrix.load(save_imatrix(tmp_path / "imatrix.gguf", importance))
    loaded = imatrix.load(old)
    assert (loaded.dataset, loaded.chunks) == (new.dataset, new.chunks) == ("calib.txt", 7)
    for name, values in importance.items():
        assert np.array_equal(loaded.entries[name], values)
        assert np.array_equal(new.entries[name], values)


def test_few_bits_without_a_matrix_are_refused(llama_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"IQ2_XS .* garbage without"):
        convert(llama_folder, tmp_path, ("Q4_K_M", "IQ2_XS"))
    assert not list((tmp_path).rglob("*.gguf*"))


def test_a_matrix_of_another_model_is_refused(llama_folder: Path, tmp_path: Path) -> None:
    file = save_imatrix(tmp_path / "other.gguf", {"blk.0.attn_q.weight": np.ones(64, np.float32)})
    with pytest.raises(RefusedError, match="made for another model"):
        convert(llama_folder, tmp_path, ("Q4_K_M",), imatrix=file)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"hello, I am a text file\n" * 9])
def test_a_file_that_is_no_matrix_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(RefusedError, match=r"x\.gguf is not an importance matrix"):
        imatrix.load(tmp_path / "x.gguf")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["llama3-rope", "mixtral"])
def test_a_matrix_is_computed_from_text(architecture: str, tmp_path: Path) -> None:
    folder = build(architecture, tmp_path)
    files = convert(folder, tmp_path, ("IQ4_NL", "Q8_0"), calibration="builtin")
    keys = read_header(files["IQ4_NL"]).keys
    assert keys["quantize.imatrix.dataset"] == "calibration.txt"
    matrix = imatrix.load(files["IQ4_NL"].parent / f"{folder.name}-imatrix.gguf")
    assert keys["quantize.imatrix.entries_count"] == len(matrix.entries)
    matrices = {
        t.name
        for t in read_header(files["Q8_0"]).tensors
        if t.name.startswith("blk.") and t.name.endswith("weight") and "norm" not in t.name
    }
    assert set(matrix.entries) == matrices
    assert all((values > 0).all() for values in matrix.entries.values())


def test_what_is_added_up_are_the_squares_of_the_inputs(odd_folder: Path, tmp_path: Path) -> None:
    """The first layer's inputs can be told without llama.cpp: normalised embeddings."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    text = calibration.text_of("builtin")
    model = convert(odd_folder, tmp_path, ("F32",), smoke_test=False)["F32"]
    calibration.compute(model, text, tmp_path / "matrix.gguf", lambda *_: None)
    ours = imatrix.load(tmp_path / "matrix.gguf").entries["blk.0.attn_q.weight"]

    tokenizer = Tokenizer.from_file(str(odd_folder / "tokenizer.json"))
    ids = tokenizer.encode(text.read_text("utf-8")).ids
    network = AutoModelForCausalLM.from_pretrained(odd_folder, dtype=torch.float32).model
    with torch.no_grad():
        used = torch.tensor(ids[: len(ids) // 512 * 512])
        inputs = network.layers[0].input_layernorm(network.embed_tokens(used))
    assert np.allclose(ours, inputs.square().mean(dim=0).numpy(), rtol=1e-3)


def test_a_text_that_is_too_short_is_refused(llama_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("Hello", "utf-8")
    with pytest.raises(RefusedError, match="is not a text of at least"):
        calibration.text_of(str(tmp_path / "short.txt"))
