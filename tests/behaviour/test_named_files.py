"""A step that read a file which the user named runs again when the file's bytes are others."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from uploader_command import Uploader
from uploader_core.api import Registry, fields_of

TEXT = "The bees of the valley fly over the hill, and the baker counts them. " * 80
ANOTHER = "\n# Another line, which nobody read before.\n"


class Release:
    """A release whose steps read files that its options name, made once.

    Attributes:
        output: Its folder.
        named: The files, by the setting that names each.
    """

    def __init__(
        self, fine_tune: Path, output: Path, named: dict[str, tuple[str, Path]], *options: str
    ) -> None:
        self.output = output
        self.named = {setting: path for setting, (_, path) in named.items()}
        self._uploader = Uploader(output.parent)
        self._arguments: list[object] = [
            fine_tune / "run" / "final_model", "--name", "tiny", "--output", output, *options,
        ]  # fmt: skip
        for option, path in named.values():
            self._arguments += [option, path]
        self.tell("run", "--yes")

    def tell(self, verb: str, *more: str) -> dict[str, str]:
        """Return what the command says of every step: ``kept``, ``done`` or ``to do``."""
        result = self._uploader(verb, *self._arguments, "--json", *more)
        assert result.returncode == 0, result.stderr
        said = json.loads(result.stdout)
        kept = said.get("kept", ())
        return {
            step["id"]: "kept" if step["id"] in kept else step.get("status", "to do")
            for step in said["steps"]
        }


GGUF = ("--gguf-quants", "Q8_0", "--no-gguf-smoke-test")


@pytest.fixture(scope="module")
def released(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release with a file of each sort, but for the matrix that it computes."""
    from uploader_gguf.llama_cpp import toolchain

    folder = tmp_path_factory.mktemp("named")
    texts = {name: folder / name for name in ("calibration.txt", "heldout.txt", "card.md")}
    for text in texts.values():
        text.write_text(TEXT, "utf-8")
    texts["card.md"].write_text("# {{ title }}\n", "utf-8")
    # The packaged conversion code, as a checkout of one's own.
    compiled = shutil.ignore_patterns("__pycache__")  # which other processes are writing
    own = shutil.copytree(toolchain.find().root, folder / "llama.cpp", ignore=compiled)
    named = {
        "calibration": ("--gguf-calibration", texts["calibration.txt"]),
        "measure_text": ("--gguf-measure-text", texts["heldout.txt"]),
        "card_template": ("--hf-card-template", texts["card.md"]),
        "llama_cpp": ("--gguf-llama-cpp", own),
    }
    return Release(pristine, folder / "out", named, "--plugins", "lora,gguf", "--measure", *GGUF)


@pytest.fixture(scope="module")
def with_a_matrix(
    pristine: Path, released: Release, tmp_path_factory: pytest.TempPathFactory
) -> Release:
    """A release with the importance matrix that an earlier one computed."""
    folder = tmp_path_factory.mktemp("matrix")
    matrix = Path(shutil.copy(released.output / "gguf" / "tiny-imatrix.gguf", folder))
    named = {"imatrix": ("--gguf-imatrix", matrix)}
    return Release(pristine, folder / "out", named, "--plugins", "gguf", *GGUF)


# The step that reads the file which a setting names.
READERS = {
    "calibration": "gguf:gguf",
    "imatrix": "gguf:gguf",
    "measure_text": "gguf:fidelity@gguf",
    "llama_cpp": "gguf:gguf",
    "card_template": "hf:card@lora",
}


@pytest.mark.parametrize("setting", READERS)
def test_changed_file(setting: str, request: pytest.FixtureRequest) -> None:
    release = request.getfixturevalue("with_a_matrix" if setting == "imatrix" else "released")
    assert set(release.tell("plan").values()) == {"kept"}
    file = release.named[setting]
    with changed(file / "conversion" / "__init__.py" if file.is_dir() else file):
        assert release.tell("plan")[READERS[setting]] == "to do"


def test_changed_template_makes_another_card(pristine: Path, tmp_path: Path) -> None:
    template = tmp_path / "card.md"
    template.write_text("# {{ title }}\n", "utf-8")
    named = {"card_template": ("--hf-card-template", template)}
    release = Release(pristine, tmp_path / "out", named, "--plugins", "lora")
    card = release.output / "lora" / "README.md"
    before = card.read_text("utf-8")
    with changed(template):
        assert release.tell("run", "--yes", "--checksum")["hf:card@lora"] == "done"
    assert ANOTHER.strip() in card.read_text("utf-8")
    assert ANOTHER.strip() not in before


@contextlib.contextmanager
def changed(file: Path) -> Iterator[None]:
    """Change bytes of a file so that it stays one of its kind, and change them back."""
    before = file.read_bytes()
    data = bytearray(before)
    if file.suffix == ".gguf":
        data[-1] ^= 1  # of the last value, which is a float
    else:
        data += ANOTHER.encode()
    file.write_bytes(data)
    yield
    file.write_bytes(before)


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
    assert found == {*READERS}


def test_missing_file_refuses_the_plan(uploader: Any, fine_tune: Path, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.gguf"
    result = uploader("plan", fine_tune, "--plugins", "gguf", "--gguf-imatrix", missing)
    assert result.returncode == 2
    assert f"--gguf-imatrix {missing}: there is no such file" in result.stderr
