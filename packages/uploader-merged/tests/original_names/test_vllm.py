"""What is said of names, against vLLM's own loading; ``nox -s engines`` installs it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import merged_models
import vllm_loading
from json_files import edit_json
from merged_tools import Merge
from saved_models import load_all
from uploader_lora.where_it_runs import Described

if importlib.util.find_spec("vllm") is None:
    pytest.skip("nox -s engines installs vLLM", allow_module_level=True)

KINDS = ("llama", "square-moe", "granite-moe", "mixtral", "deepseek-v3")


def built(kind: str) -> Any:
    """Return a random model whose experts are of a size that vLLM computes on a processor."""
    model = merged_models.build(kind)
    if hasattr(model.config, "moe_intermediate_size"):
        model.config.moe_intermediate_size = 32
    return type(model)(model.config)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Return what vLLM did with each architecture under the names of memory, and under ours."""
    root = tmp_path_factory.mktemp("names")
    folders = []
    for kind in KINDS:
        stored = root / kind / "stored"
        built(kind).float().save_pretrained(stored, save_original_format=False)
        if kind == "deepseek-v3":
            # vLLM takes the correction of the router's scores from files that say this.
            edit_json(stored / "config.json", topk_method="noaux_tc")
        folders += [stored, Merge(root / kind)(stored, None, names="original").path]
    done = subprocess.run(  # noqa: S603 - this interpreter, our script
        [sys.executable, vllm_loading.__file__, *map(str, folders)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    kinds = [f"{kind}/{names}" for kind in KINDS for names in ("stored", "original")]
    return dict(zip(kinds, zip(folders, found, strict=True), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_its_no_to_names_is_ours(kind: str, loaded: dict[str, tuple[Path, Any]]) -> None:
    folder, found = loaded[f"{kind}/stored"]
    config = json.loads((folder / "config.json").read_text("utf-8"))
    ours = Described.of(config, names=load_all(folder)).unread_by("vLLM")
    assert bool(ours) is bool(found["refused"] or found["left"]), (ours, found)


@pytest.mark.parametrize("kind", KINDS)
def test_released_names_are_loaded_complete(kind: str, loaded: dict[str, tuple[Path, Any]]) -> None:
    assert loaded[f"{kind}/original"][1] == {"refused": "", "left": []}
