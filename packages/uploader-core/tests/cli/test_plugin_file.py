"""``--plugin-file``: a plugin that is one file, for one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FORMAT = """
from dataclasses import dataclass
from uploader_core.plugin import SaveSpec, UploadSpec, hookimpl, setting


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    text: str = setting("hello", help="what is written")


@hookimpl
def uploader_savers():
    yield SaveSpec(name="note", summary="a note", consumes=("adapter",), produces="acme.note",
                   settings=Settings, run="my_format:save")


@hookimpl
def uploader_uploaders():
    yield UploadSpec(name="send", summary="nowhere", scheme="nowhere", run="my_format:send")


def save(context):
    context.output.write("note.txt", context.settings.text)
    return context.artifact()


def send(context):
    return context.receipt(url="https://nowhere", files=len(context.files))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tries" / "my_format.py"
    path.parent.mkdir()
    path.write_text(FORMAT, "utf-8")
    return path


def test_file_is_a_plugin_of_the_run(uploader: Any, adapter: Path, file: Path) -> None:
    result = uploader("run", adapter, "--plugin-file", file, "--plugins", "my-format",
                      "--my-format-text", "it works", "--name", "m")  # fmt: skip
    assert result.returncode == 0, result.stderr
    release = adapter.parent / "m"
    assert (release / "acme.note" / "note.txt").read_text("utf-8") == "it works"
    manifest = json.loads((release / "upload_manifest.json").read_text("utf-8"))
    (step,) = (s for s in manifest["steps"] if s["id"] == "my-format:note")
    assert step["distribution"] == "my_format.py"
    assert step["version"].startswith("sha256:")


def test_what_its_specs_offer_is_known_without_metadata(
    uploader: Any, adapter: Path, file: Path
) -> None:
    by_kind = uploader("plan", adapter, "--plugin-file", file, "--plugins", "acme.note")
    assert by_kind.returncode == 0, by_kind.stderr
    # Made where no format is named, as it would be with an entry in uploader_core.defaults.
    others = ("--without", "lora,merged,gguf,hf")
    result = uploader(
        "plan", adapter, "--plugin-file", file, "--to", "nowhere:x", "--json", *others
    )
    plan = json.loads(result.stdout)
    assert {"my-format:note"} <= {step["id"] for step in plan["steps"]}
    assert "nowhere:x" in {step["destination"] for step in plan["steps"]}
    assert "a note" not in uploader("plugins", "list").stdout


def test_edit_makes_its_steps_run_again(uploader: Any, adapter: Path, file: Path) -> None:
    command = ("run", adapter, "--plugin-file", file, "--plugins", "my-format", "--name", "m")
    assert "steps run" in uploader(*command).stdout
    assert "0 steps run" in uploader(*command).stdout
    file.write_text(FORMAT.replace("context.settings.text)", "'edited')"), "utf-8")
    assert "0 steps run" not in uploader(*command).stdout
    assert (adapter.parent / "m" / "acme.note" / "note.txt").read_text("utf-8") == "edited"


def test_nothing_beside_the_file_can_be_imported(
    uploader: Any, adapter: Path, file: Path, tmp_path: Path
) -> None:
    (file.parent / "beside.py").write_text("", "utf-8")
    text = FORMAT.replace("def save(context):", "def save(context):\n    import beside")
    file.write_text(text, "utf-8")
    result = uploader("run", adapter, "--plugin-file", file, "--plugins", "my-format")
    assert result.returncode == 8
    assert "No module named 'beside'" in result.stderr


def test_option_of_the_file_is_in_the_help(uploader: Any, file: Path) -> None:
    result = uploader("run", "--plugin-file", file, "--plugins", "my-format", "--help")
    assert "--my-format-text" in result.stdout


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("My Format.py", "cannot be a plugin"),
        ("dir.py", "would be the plugin 'dir', and there is one already"),
        ("json.py", "there is another module 'json'"),
        ("absent.py", "there is no file"),
    ],
)
def test_name_that_cannot_be_is_refused(
    uploader: Any, adapter: Path, file: Path, name: str, why: str
) -> None:
    other = file.with_name(name)
    if name != "absent.py":
        file.rename(other)
    result = uploader("run", adapter, "--plugin-file", other)
    assert result.returncode == 2
    assert why in result.stderr


def test_other_file_of_the_name_in_the_working_folder_is_not_taken_for_it(
    uploader: Any, adapter: Path, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "my_format.py").write_text("raise SystemExit('the wrong one')", "utf-8")
    result = uploader("run", adapter, "--plugin-file", file, "--plugins", "my-format")
    assert result.returncode == 2
    assert "there is another module 'my_format'" in result.stderr


def test_file_in_the_working_folder_is_taken(uploader: Any, adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "my_format.py").write_text(FORMAT, "utf-8")
    result = uploader("run", adapter, "--plugin-file", "my_format.py", "--plugins", "my-format")
    assert result.returncode == 0, result.stderr


def test_fault_of_the_file_says_to_mend_it(uploader: Any, adapter: Path, file: Path) -> None:
    file.write_text("import nothing_of_that_name\n" + FORMAT, "utf-8")
    result = uploader("run", adapter, "--plugin-file", file)
    assert result.returncode == 8
    assert "No module named 'nothing_of_that_name'" in result.stderr
    assert f"mend {file}" in result.stderr


def test_file_that_is_not_allowed_is_not_imported(
    uploader: Any, adapter: Path, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "uploader.toml").write_text("[plugins]\nallow = []\n", "utf-8")
    file.write_text("print('imported', flush=True)\n" + FORMAT, "utf-8")
    result = uploader("run", adapter, "--plugin-file", file, "--plugins", "my-format")
    assert result.returncode == 8
    assert "disabled by plugins.allow" in result.stderr
    assert "imported" not in result.stdout + result.stderr.replace("not imported", "")


def test_nothing_of_it_is_left(uploader: Any, adapter: Path, file: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    uploader.environment = dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(scratch))
    uploader("plan", adapter, "--plugin-file", file, "--plugins", "my-format")
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in file.parent.iterdir()) == ["my_format.py"]
