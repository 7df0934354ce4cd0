"""What a manifest says besides its files: templates, policy, and what the bytes depend on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

import pytest

from manifest_schema import schema_problems
from uploader_core.artifact import Artifact, ArtifactFile
from uploader_core.manifest.environment import environment_of
from uploader_core.manifest.sources import chat_template

pytestmark = pytest.mark.usefixtures("notes_plugin")

OURS, THEIRS = "{{ messages }}!", "{{ messages }}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def source(folder: Path, kind: str, **files: str) -> Artifact:
    """Make a source; a double underscore in a file's name is a slash, a single one a dot."""
    folder.mkdir()
    names = {name.replace("__", "/"): text for name, text in files.items()}
    for name, text in names.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    found = tuple(ArtifactFile(name=n, size=len(t), sha256="") for n, t in names.items())
    return Artifact(kind=kind, path=folder, files=found)


def test_template_of_the_fine_tune_is_told_from_that_of_the_base(tmp_path: Path) -> None:
    adapter = source(
        tmp_path / "a", "adapter",
        **{"chat_template.jinja": OURS, "additional_chat_templates/tool_use.jinja": "{{ tools }}"},
    )  # fmt: skip
    config = json.dumps({"chat_template": THEIRS})
    base = source(tmp_path / "b", "base", **{"tokenizer_config.json": config})
    assert chat_template({"adapter": adapter, "base": base}) == {
        "fine_tune": {"default": digest(OURS), "tool_use": digest("{{ tools }}")},
        "base": {"default": digest(THEIRS)},
        "differs": True,
    }


def test_fine_tune_without_a_template_goes_with_that_of_the_base(tmp_path: Path) -> None:
    adapter = source(tmp_path / "a", "adapter", **{"adapter_config.json": "{}"})
    base = source(tmp_path / "b", "base", **{"chat_template.jinja": THEIRS})
    assert chat_template({"adapter": adapter, "base": base})["differs"] is False


def test_same_template_in_another_file_is_the_same(tmp_path: Path) -> None:
    config = json.dumps({"chat_template": [{"name": "default", "template": OURS}]})
    adapter = source(tmp_path / "a", "adapter", **{"chat_template.jinja": OURS})
    base = source(tmp_path / "b", "base", **{"tokenizer_config.json": config})
    assert chat_template({"adapter": adapter, "base": base})["differs"] is False


def test_template_of_a_processor_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    files = {"preprocessor_config.json": "{}", "chat_template.json": '{"chat_template": "x"}'}
    model = source(tmp_path / "m", "checkpoint", **files)
    found = chat_template({"checkpoint": model})
    assert found == {"fine_tune": {"default": digest("x")}, "base": None, "differs": None}


@pytest.mark.parametrize("text", ["{", "[]", '{"chat_template": ' + "[" * 100_000])
def test_template_that_cannot_be_read_is_unknown(tmp_path: Path, text: str) -> None:
    model = source(tmp_path / "m", "adapter", **{"tokenizer_config.json": text})
    assert chat_template({"adapter": model})["fine_tune"] is None


def test_environment_names_what_plugins_require_and_what_computes_below() -> None:
    pytest.importorskip("uploader_merged")
    found = environment_of("uploader-merged", ("bitsandbytes>=0.1",))
    assert found["python"] == platform.python_version()
    libraries = found["libraries"]
    # By itself, by a spec, by the plugin below it, and by torch.
    for name in ("torch", "bitsandbytes", "uploader-kernels", "numpy"):
        assert libraries[name] == importlib.metadata.version(name)
    assert "uploader-core" not in libraries


def test_manifest_says_what_was_decided_and_for_which_destination(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    (adapter / "value_head.safetensors").write_bytes(b"x")
    uploader(
        "run", adapter, "--plugins", "notes", "--leave-behind", "value_head.safetensors",
        "--to", f"dir:{tmp_path / 'there'}", "--dir-foreign", "remove",
        "--output", tmp_path / "release",
    )  # fmt: skip
    here, there = (
        json.loads((tmp_path / place / "upload_manifest.json").read_text())
        for place in ("release", "there")
    )
    assert here["policy"] == {"leave_behind": ["value_head.safetensors"], "settings": {}}
    assert there["policy"]["settings"] == {"dir": {"foreign": "remove"}}
    assert schema_problems(here) == schema_problems(there) == []


def test_member_that_the_schema_does_not_describe_is_named(
    uploader: Any, adapter: Path, tmp_path: Path
) -> None:
    uploader("run", adapter, "--plugins", "notes", "--output", tmp_path / "release")
    manifest = json.loads((tmp_path / "release" / "upload_manifest.json").read_text())
    manifest["steps"][0]["surprise"] = 1
    assert any("surprise" in problem for problem in schema_problems(manifest))
    assert schema_problems(manifest, closed=False) == []
