"""Start-up stays light, whatever is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("torch", "transformers", "huggingface_hub", "gguf", "peft", "unsloth", "numpy"),
    *("distributed", "submitit"),
}


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """A hundred installed plugins that import torch at module level, as a bad plugin would."""
    for n in range(100):
        name = f"crowd_{n:03}"
        (tmp_path / f"{name}.py").write_text("import torch\n", "utf-8")
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "utf-8"
        )
        (info / "entry_points.txt").write_text(
            f"[uploader_core.plugins]\n{name.replace('_', '-')} = {name}\n"
            f"[uploader_core.artifacts]\n{name}.kind = {name}\n",
            "utf-8",
        )
    return tmp_path


def modules_after(code: str, path: Path) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('MODULES', *sys.modules)"],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.split("MODULES ", 1)[1].split())


def loaded_plugins(modules: set[str]) -> set[str]:
    return {m for m in modules if m.startswith("crowd_")}


def test_help_imports_no_plugin_and_nothing_heavy(crowd: Path) -> None:
    modules = modules_after("from uploader_core.cli import main; main(['--help'])", crowd)
    assert not loaded_plugins(modules)
    assert not modules & {*HEAVY, "pluggy", "rich", "importlib_metadata"}


def test_listing_imports_no_plugin(crowd: Path) -> None:
    modules = modules_after("from uploader_core.cli import main; main(['plugins', 'list'])", crowd)
    assert not loaded_plugins(modules)
    assert not modules & HEAVY


def test_a_worker_imports_nothing_that_only_planning_needs(crowd: Path) -> None:
    modules = modules_after("import uploader_core.workers.child", crowd)
    assert not modules & {*HEAVY, "pluggy", "packaging", "importlib_metadata"}


def test_help_of_run_imports_only_what_is_named(crowd: Path) -> None:
    code = "from uploader_core.cli import main; main(['run', '--plugins', 'gguf', '--help'])"
    modules = modules_after(code, crowd)
    assert not loaded_plugins(modules)
    assert "uploader_gguf.plugin" in modules
    assert not modules & HEAVY


def test_run_imports_exactly_the_one_that_is_named(crowd: Path, fine_tune: Path) -> None:
    code = f"from uploader_core.cli import main; main(['plan', {str(fine_tune)!r}, '--plugins', "
    modules = modules_after(f"{code}'crowd-007'])", crowd)
    assert loaded_plugins(modules) == {"crowd_007"}
    modules = modules_after(f"{code}'lora'])", crowd)
    assert not loaded_plugins(modules)
    # Whoever documents what others make, or reads sources, is asked in every run; formats are not.
    ours = {m for m in modules if m.endswith(".plugin") and m.startswith("uploader_")}
    own = {f"uploader_core.builtin.{name}plugin" for name in ("", "local_source.", "gate.")}
    assert ours == {
        *("uploader_core.plugin", "uploader_lora.plugin", "uploader_hf.plugin"),
        *("uploader_ollama.plugin", "uploader_oci.plugin", "uploader_mlx.plugin"),
        *("uploader_fsspec.plugin", *own),
    }
    assert not modules & HEAVY


@pytest.mark.parametrize(
    "plugin",
    [
        "lora",
        "merged",
        "gguf",
        "hf",
        "ollama",
        "oci",
        "mlx",
        "fsspec",
        "slurm",
        "dask",
        "provenance",
    ],
)
def test_plugin_modules_are_light(plugin: str, tmp_path: Path) -> None:
    assert not modules_after(f"import uploader_{plugin}.plugin", tmp_path) & HEAVY
