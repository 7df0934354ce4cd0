"""From base and adapter: no merged folder, and the same file as from one."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import fine_tune
from gguf_oracles import Job, convert, llama_quantize, run_script, same


@pytest.fixture(scope="module")
def tuned(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return (adapter folder, folder that peft merged)."""
    return fine_tune(llama_folder, tmp_path_factory.mktemp("tuned"))


def test_every_kind_equals_llama_cpps_tools_on_the_merged_folder(
    llama_folder: Path, tuned: tuple[Path, Path], tmp_path: Path
) -> None:
    adapter, merged = tuned
    kinds = ("F16", "BF16", "Q8_0")
    ours = convert(llama_folder, tmp_path, (*kinds, "Q4_K_M", "Q5_K_M"), adapter=adapter)
    jobs = {k: Job(folder=merged, target=tmp_path / f"{k}.gguf", kind=k) for k in kinds}
    run_script(list(jobs.values()))
    for kind, job in jobs.items():
        same(ours[kind], job.target)
    for kind in ("Q4_K_M", "Q5_K_M"):
        same(ours[kind], llama_quantize(jobs["F16"].target, tmp_path / "theirs.gguf", kind))


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
