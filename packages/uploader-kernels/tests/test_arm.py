"""The kernels on ARM make the bytes that llama.cpp makes here.

Compiled by zig and run by an emulator, both of which must be there: ``nox -s kernel_wheels`` and
``apt-get install qemu-user``.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import uploader_kernels
from kernel_rows import DISTRIBUTIONS, importances, rows_of
from stock_ggml import NAMES, stock

EMULATOR = shutil.which("qemu-aarch64")
PACKAGE = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        EMULATOR is None or importlib.util.find_spec("ziglang") is None,
        reason="needs qemu-aarch64 and ziglang",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plain kernels, for ARM."""
    sys.path.insert(0, str(PACKAGE))
    try:
        from hatch_build import FLAGS
    finally:
        sys.path.remove(str(PACKAGE))
    source = PACKAGE / "src" / "uploader_kernels"
    made = tmp_path_factory.mktemp("arm") / "encode"
    subprocess.run(
        [
            *(sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static"),
            *(*FLAGS, "-DLEVEL=plain", f"-I{source}", "-o", str(made)),
            *(str(source / "native" / name) for name in ("kernels.c", "library.c")),
            str(PACKAGE / "tests" / "support" / "encode_files.c"),
        ],
        check=True,
    )
    return made


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_those_of_llama_cpp(name: str, distribution: str, program: Path) -> None:
    kind = NAMES[name]
    block, size = uploader_kernels.TYPES[kind]
    random = np.random.default_rng(5)
    rows = rows_of(distribution, name, random, 3, 1280)
    for weights, importance in importances(random, 1280).items():
        given = rows.tobytes() if importance is None else importance.tobytes() + rows.tobytes()
        told = subprocess.run(
            [EMULATOR, program, str(kind), "1280", str(int(importance is not None))],
            input=given,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        count = int.from_bytes(told[:8], "little")
        strange = np.frombuffer(told, np.int64, count, 8)
        ours = np.frombuffer(told, np.uint8, rows.size // block * size, 8 + 8 * count)
        truth = stock(rows, kind, importance).reshape(-1, size)
        wrong = set(np.flatnonzero((ours.reshape(-1, size) != truth).any(axis=1)))
        # A scale that is no number has another sign here and there; a run refuses it either way.
        refused = set(np.flatnonzero(_scale_is_no_number(truth, name)))
        assert not wrong - set(strange) - refused, f"importance: {weights}"


def _scale_is_no_number(blocks: np.ndarray, name: str) -> np.ndarray:
    at = {"Q2_K": (80, 82), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q3_K": (108,), "Q6_K": (208,)}
    halves = [blocks[:, i : i + 2].copy().view(np.float16) for i in at.get(name, (0,))]
    return np.isnan(np.concatenate(halves, axis=1)).any(axis=1)
