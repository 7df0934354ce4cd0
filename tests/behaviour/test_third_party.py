"""A stranger's distribution, installed with pip from a folder, is a format like any other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

PROJECT = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "acme-shapes"
        version = "3.1"
        description = "tensor shapes of an adapter as CSV"
        dependencies = ["uploader-core>=0.1,<1"]

        [project.entry-points."uploader_core.plugins"]
        shapes = "acme_shapes.plugin"

        [project.entry-points."uploader_core.artifacts"]
        "acme.shapes" = "acme_shapes.plugin"
    """,
    "acme_shapes/__init__.py": "",
    "acme_shapes/plugin.py": """
        from uploader_core.plugin import SaveSpec, hookimpl

        @hookimpl
        def uploader_savers():
            yield SaveSpec(
                name="shapes",
                summary="tensor shapes as CSV",
                consumes=("adapter",),
                produces="acme.shapes",
                run="acme_shapes.work:save",
            )
    """,
    "acme_shapes/work.py": """
        from safetensors import safe_open

        def save(context):
            path = context.input("adapter").file("adapter_model.safetensors")
            with safe_open(path, "np") as file:
                lines = [f"{n},{file.get_slice(n).get_shape()}" for n in sorted(file.keys())]
            context.output.write("shapes.csv", "\\n".join(lines))
            return context.artifact({"tensors": len(lines)})
    """,
}


@pytest.fixture
def shapes_plugin(tmp_path: Path, uploader: Any) -> None:
    project = tmp_path / "acme-shapes"
    for name, text in PROJECT.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), "utf-8")
    site = tmp_path / "site"
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
            "--no-build-isolation", "--target", str(site), str(project),
        ],
        check=True,
    )  # fmt: skip
    uploader.environment["PYTHONPATH"] = os.pathsep.join(
        [str(site), os.environ.get("PYTHONPATH", "")]
    ).rstrip(os.pathsep)


@pytest.mark.usefixtures("shapes_plugin")
def test_it_is_listed(uploader: Any) -> None:
    rows = json.loads(uploader("plugins", "list", "--json").stdout)
    (row,) = [r for r in rows if r["id"] == "shapes"]
    assert row["distribution"] == "acme-shapes 3.1"
    assert row["kinds"] == ["acme.shapes"]


@pytest.mark.usefixtures("shapes_plugin")
def test_its_artifact_lands_in_release_and_manifest(uploader: Any, fine_tune: Path) -> None:
    result = uploader("run", fine_tune, "--plugins", "lora,shapes", "--name", "m")
    assert result.returncode == 0, result.stderr
    release = fine_tune.parent / "m"
    assert "q_proj.lora_A" in (release / "acme.shapes/shapes.csv").read_text()
    manifest = json.loads((release / "upload_manifest.json").read_text())
    paths = {f["path"]: f["step"] for f in manifest["files"]}
    assert paths["acme.shapes/shapes.csv"] == "shapes:shapes"
    assert "lora/adapter_model.safetensors" in paths
    card = (release / "acme.shapes" / "README.md").read_text("utf-8")
    assert "Tensor shapes as CSV" in card
