"""A step that read a file which the user named runs again when the file's bytes are others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uploader_core.api import Registry, fields_of

TEXT = "The bees of the valley fly over the hill, and the baker counts them. " * 80
GGUF = ("--plugins", "gguf", "--gguf-quants", "Q8_0", "--no-gguf-smoke-test")

ANOTHER = "\n# Another line, which nobody read before.\n"

Prepared = tuple[Path, tuple[object, ...], str]
"""A file, options that name it, and the step that reads it."""


def calibration(folder: Path, tell: Callable[..., Any]) -> Prepared:
    text = folder / "calibration.txt"
    text.write_text(TEXT, "utf-8")
    return text, (*GGUF, "--gguf-calibration", text), "gguf:gguf"


def imatrix(folder: Path, tell: Callable[..., Any]) -> Prepared:
    """An importance matrix that an earlier run computed."""
    tell("run", *calibration(folder, tell)[1], output=folder / "earlier")
    matrix = shutil.copy(folder / "earlier" / "gguf" / "tiny-imatrix.gguf", folder)
    return Path(matrix), (*GGUF, "--gguf-imatrix", matrix), "gguf:gguf"


def measure_text(folder: Path, tell: Callable[..., Any]) -> Prepared:
    text = folder / "heldout.txt"
    text.write_text(TEXT, "utf-8")
    step = "gguf:fidelity@gguf"
    return text, (*GGUF, "--measure", "--gguf-measure-text", text), step


def llama_cpp(folder: Path, tell: Callable[..., Any]) -> Prepared:
    """The packaged conversion code, as a checkout of one's own."""
    from uploader_gguf.llama_cpp import toolchain

    own = shutil.copytree(toolchain.find().root, folder / "llama.cpp")
    return own / "conversion" / "__init__.py", (*GGUF, "--gguf-llama-cpp", own), "gguf:gguf"


def card_template(folder: Path, tell: Callable[..., Any]) -> Prepared:
    template = folder / "card.md"
    template.write_text("# {{ title }}\n", "utf-8")
    return template, ("--plugins", "lora", "--hf-card-template", template), "hf:card@lora"


NAMED = (calibration, imatrix, measure_text, llama_cpp, card_template)


@pytest.fixture
def tell(uploader: Any, fine_tune: Path, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """The command, and what it says of every step: ``kept``, ``done`` or ``to do``."""

    def tell(verb: str, *options: object, output: Path = tmp_path / "out") -> dict[str, str]:
        yes = ["--yes"] if verb == "run" else []
        result = uploader(verb, fine_tune, *options, "--name", "tiny", "--output", output,
                          "--json", *yes)  # fmt: skip
        assert result.returncode == 0, result.stderr
        said = json.loads(result.stdout)
        kept = said.get("kept", ())
        return {
            step["id"]: "kept" if step["id"] in kept else step.get("status", "to do")
            for step in said["steps"]
        }

    return tell


@pytest.mark.parametrize("prepare", NAMED, ids=lambda prepare: prepare.__name__)
def test_changed_file(
    prepare: Callable[..., Prepared], tell: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    file, options, reader = prepare(tmp_path, tell)
    tell("run", *options)
    assert set(tell("plan", *options).values()) == {"kept"}
    change(file)
    assert tell("plan", *options)[reader] == "to do"


def test_changed_template_makes_another_card(
    tell: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    template, options, reader = card_template(tmp_path, tell)
    tell("run", *options)
    before = (tmp_path / "out" / "lora" / "README.md").read_text("utf-8")
    change(template)
    assert tell("run", "--checksum", *options)[reader] == "done"
    after = (tmp_path / "out" / "lora" / "README.md").read_text("utf-8")
    assert ANOTHER.strip() in after
    assert ANOTHER.strip() not in before


def change(file: Path) -> None:
    """Change bytes of a file so that it stays one of its kind."""
    data = bytearray(file.read_bytes())
    if file.suffix == ".gguf":
        data[-1] ^= 1  # of the last value, which is a float
    else:
        data += ANOTHER.encode()
    file.write_bytes(data)


def test_every_setting_that_names_a_file_is_tried() -> None:
    registry = Registry()
    found = {
        field.name
        for plugin_id in ("lora", "merged", "gguf", "hf", "dir")
        for spec in registry.load(plugin_id).specs
        if spec.settings is not None
        for field in fields_of(plugin_id, spec.settings)
        if field.content
    }
    assert found == {prepare.__name__ for prepare in NAMED}


def test_missing_file_refuses_the_plan(uploader: Any, fine_tune: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.gguf"
    result = uploader("plan", fine_tune, "--plugins", "gguf", "--gguf-imatrix", missing)
    assert result.returncode == 2
    assert f"--gguf-imatrix {missing}: there is no such file" in result.stderr
