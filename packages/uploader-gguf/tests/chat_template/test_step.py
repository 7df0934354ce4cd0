"""The step settles the template before it writes, and records what it did."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gguf_oracles import context, convert
from gguf_templates import PLAIN, REFUSED
from uploader_core.plugin import Artifact, RefusedError
from uploader_gguf import step
from uploader_gguf.card import render
from uploader_gguf.chat_template.probes import PROBES
from uploader_gguf.chat_template.settle import REWRITTEN, TEMPLATE
from uploader_gguf.chat_template.stub import token_count, write_stub
from uploader_gguf.format.gguf_file import packed_keys, read_header
from uploader_gguf.settings import GgufSettings

TUNED = "\n" + PLAIN


@pytest.fixture
def tuned(llama_folder: Path, tmp_path: Path) -> Path:
    """A model whose template begins with a line end before a loop."""
    return with_template(llama_folder, tmp_path / "Tuned", TUNED)


def with_template(model: Path, folder: Path, template: str) -> Path:
    shutil.copytree(model, folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "chat_template": template}), "utf-8")
    return folder


def made(folder: Path, place: Path, **settings: object) -> Artifact:
    checks = {"smoke_test": False, "tokenizer_check": False, "template_check": True, **settings}
    return step.convert(context(folder, place, quants=("Q8_0",), **checks))


def test_the_file_has_the_rewritten_template_and_the_artifact_says_so(
    tuned: Path, tmp_path: Path
) -> None:
    artifact = made(tuned, tmp_path)
    keys = read_header(artifact.file(artifact.files[0].name)).keys
    assert keys[TEMPLATE].startswith("{{ '\\n' }}")
    record = artifact.metadata["chat_template"]
    assert isinstance(record, dict)
    assert keys[REWRITTEN] == record["rewritten"]
    assert "first-character" in keys[REWRITTEN]
    assert "- In the GGUF, the text before the first tag" in render(artifact)


def test_finished_files_are_compared_again(tuned: Path, tmp_path: Path) -> None:
    first = made(tuned, tmp_path)
    shutil.rmtree(tmp_path / "work")
    assert made(tuned, tmp_path) == first


def test_it_is_compared_unless_somebody_says_otherwise() -> None:
    assert GgufSettings().template_check


def test_without_the_check_the_template_stays(tuned: Path, tmp_path: Path) -> None:
    artifact = made(tuned, tmp_path, template_check=False)
    keys = read_header(artifact.file(artifact.files[0].name)).keys
    assert keys[TEMPLATE] == TUNED
    assert REWRITTEN not in keys
    assert "chat_template" not in artifact.metadata


def test_a_template_is_refused_before_the_first_byte(llama_folder: Path, tmp_path: Path) -> None:
    template, why = REFUSED["none printed"]
    folder = with_template(llama_folder, tmp_path / "Tuned", template)
    with pytest.raises(RefusedError, match=why):
        made(folder, tmp_path)
    assert list(tmp_path.glob("gguf/*.gguf")) == []


def test_a_model_without_a_template_has_nothing_to_compare(
    odd_folder: Path, tmp_path: Path
) -> None:
    assert "chat_template" not in made(odd_folder, tmp_path).metadata


def test_the_vocabulary_alone_stands_for_the_file(llama_folder: Path, tmp_path: Path) -> None:
    file = convert(llama_folder, tmp_path, ("F16",))["F16"]
    stub = tmp_path / "stub.gguf"
    keys = packed_keys(file)
    write_stub(stub, keys)
    wanted = {
        "tokens": token_count(keys),
        "conversations": [{"messages": list(probe.messages)} for probe in PROBES[:3]],
    }
    requests = [json.dumps({"path": str(path), **wanted}) for path in (file, stub)]
    done = subprocess.run(
        [sys.executable, "-m", "uploader_gguf.chat_template.server_child"],
        input="\n".join(requests) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    _, of_file, of_stub = done.stdout.splitlines()
    assert of_file == of_stub
    assert json.loads(of_file)["conversations"][0]["counted"] > 1
