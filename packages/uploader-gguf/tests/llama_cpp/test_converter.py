"""Every architecture: the same file as llama.cpp's unmodified script writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gguf_models import ARCHITECTURES, build
from gguf_oracles import Job, convert, llama_quantize, run_script, same
from uploader_gguf.format.gguf_file import read_header

pytestmark = pytest.mark.slow

KINDS = ("F16", "BF16", "Q8_0")
MIXTURES = ("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q3_K_M", "Q3_K_L", "Q2_K", "IQ4_XS", "MXFP4_MOE")

# With transformers 5 the script misses values in the configuration of these and stops.
SCRIPT_FAILS = ("gpt-neox",)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: build(name, place) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def theirs(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Path]:
    """Run the script for all models in one process, because importing it takes seconds."""
    place = tmp_path_factory.mktemp("theirs")
    jobs = {
        (name, kind): Job(folder=folder, target=place / f"{name}-{kind}.gguf", kind=kind)
        for name, folder in folders.items()
        if name not in SCRIPT_FAILS
        for kind in KINDS
    }
    run_script(list(jobs.values()))
    return {key: job.target for key, job in jobs.items()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equals_llama_cpps_own_tools(
    name: str, folders: dict[str, Path], theirs: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    ours = convert(folders[name], tmp_path, (*KINDS, *MIXTURES), smoke_test=False)
    direct = () if name in SCRIPT_FAILS else KINDS
    compared = sum(same(ours[kind], theirs[name, kind]) for kind in direct)
    for kind in MIXTURES:
        compared += same(ours[kind], llama_quantize(ours["F16"], tmp_path / "theirs.gguf", kind))
    tensors = len(read_header(ours["F16"]).tensors)
    assert tensors > 15
    assert compared == tensors * (len(direct) + len(MIXTURES))


def test_the_list_is_what_people_fine_tune() -> None:
    assert len(ARCHITECTURES) == 17
    assert {
        *("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3-moe", "gemma2", "gemma3"),
        *("phi3", "gpt2", "gpt-neox", "falcon", "starcoder2", "olmo2", "granite", "bert"),
    } <= set(ARCHITECTURES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_runs_in_llama_cpp(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    convert(folders[name], tmp_path, ("F16", "Q4_K_M"))
