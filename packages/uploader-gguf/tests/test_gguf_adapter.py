"""From base and adapter: no merged folder, and the same file as from one."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import fine_tune
from gguf_oracles import convert, llama_cpp_script, llama_quantize, same


@pytest.fixture(scope="module")
def tuned(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return (adapter folder, folder that peft merged)."""
    return fine_tune(llama_folder, tmp_path_factory.mktemp("tuned"))


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q8_0"])
def test_direct_kinds_equal_the_script_on_the_merged_folder(
    kind: str, llama_folder: Path, tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    adapter, merged = tuned
    ours = convert(llama_folder, tmp_path, (kind,), adapter=adapter, smoke_test=False)[kind]
    same(ours, llama_cpp_script(merged, tmp_path / "theirs.gguf", kind))


def test_mixtures_equal_llama_quantize_on_the_merged_folder(
    llama_folder: Path, tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    adapter, merged = tuned
    ours = convert(llama_folder, tmp_path, ("Q4_K_M",), adapter=adapter)["Q4_K_M"]
    half = llama_cpp_script(merged, tmp_path / "half.gguf", "F16")
    same(ours, llama_quantize(half, tmp_path / "theirs.gguf", "Q4_K_M"))


def test_the_adapter_is_in_the_file(
    llama_folder: Path, tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    plain = convert(llama_folder, tmp_path / "a", ("F16",), smoke_test=False)["F16"]
    with_adapter = convert(
        llama_folder, tmp_path / "b", ("F16",), adapter=tuned[0], smoke_test=False
    )["F16"]
    assert plain.read_bytes() != with_adapter.read_bytes()


def test_nothing_but_the_files_is_left_on_disk(
    llama_folder: Path, tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    convert(llama_folder, tmp_path, ("Q8_0",), adapter=tuned[0])
    weights = [p for p in tmp_path.rglob("*") if p.suffix in (".safetensors", ".bin", ".partial")]
    assert weights == []
