"""A wheel is built with a C compiler and without one, and says what it is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
PACKAGE = Path(__file__).parents[1]


def build(place: Path, **variables: str) -> Path:
    """Build a wheel and return it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=PACKAGE,
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
    )
    (wheel,) = place.glob("*.whl")
    return wheel


def told_by(wheel: Path, place: Path) -> str:
    """Install a wheel alone and return what loading its kernels says."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    code = (
        "import uploader_kernels as k\n"
        "try: print(k.load().path)\nexcept k.KernelsError as error: print(error)"
    )
    # -S: nothing of this environment, in which the kernels are installed.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"PATH": "", "CC": ""}, id="no compiler"),
        pytest.param({"CC": f"{sys.executable} -c raise(SystemExit(1))"}, id="one that fails"),
        pytest.param({"CC": "no-such-compiler"}, id="one that is not there"),
    ],
)
def test_wheel_without_a_compiler_is_for_every_platform_and_says_what_it_lacks(
    variables: dict[str, str], tmp_path: Path
) -> None:
    wheel = build(tmp_path, **variables)
    assert wheel.name.endswith("-py3-none-any.whl")
    told = told_by(wheel, tmp_path / "site")
    assert "no C compiler was found" in told
    assert "install gcc or clang" in told


@pytest.mark.slow
def test_wheel_with_a_compiler_is_for_this_platform_and_holds_the_library(tmp_path: Path) -> None:
    wheel = build(tmp_path)
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    assert str(tmp_path / "site") in told_by(wheel, tmp_path / "site")
