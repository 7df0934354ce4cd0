"""The files equal llama.cpp's own, tensor for tensor and key for key.

ggml has one path in the wheels of both packages, that for AVX2, and it is seen equal there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gguf_oracles import Job, convert, llama_quantize, run_script, same

pytestmark = pytest.mark.bits

KINDS = ("F16", "BF16", "F32", "Q8_0")
MIXTURES = (
    "Q4_K_M", "Q4_K_S", "Q5_K_M", "Q5_K_S", "Q6_K", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K",
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "IQ4_XS", "IQ3_M", "IQ3_S", "TQ1_0", "TQ2_0",
)  # fmt: skip


@pytest.fixture(scope="module", params=["llama_folder", "odd_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return convert(folder, tmp_path_factory.mktemp("made"), (*KINDS, *MIXTURES))


@pytest.fixture(scope="module")
def theirs(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("theirs")
    jobs = [Job(folder=folder, target=place / f"{kind}.gguf", kind=kind) for kind in KINDS]
    run_script(jobs)
    return {job.kind: job.target for job in jobs}


@pytest.mark.parametrize("kind", KINDS)
def test_direct_kinds_equal_the_unmodified_script(
    kind: str, made: dict[str, Path], theirs: dict[str, Path]
) -> None:
    same(made[kind], theirs[kind])


@pytest.mark.parametrize("kind", MIXTURES)
def test_mixtures_equal_llama_quantize(kind: str, made: dict[str, Path], tmp_path: Path) -> None:
    theirs = llama_quantize(made["F16"], tmp_path / "theirs.gguf", kind)
    same(made[kind], theirs)
