"""The chat templates of a file are those that transformers takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gguf_tokenizers import byte_level, keys_of, save_model

DEFAULT, NAMES = "tokenizer.chat_template", "tokenizer.chat_templates"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "Model"
    made.mkdir()
    return save_model(made, len(byte_level(made)))


def put(folder: Path, **templates: Any) -> None:
    """Put templates into files: jinja, config, legacy, or the name of an additional one."""
    for name, template in templates.items():
        file = {"config": "tokenizer_config.json", "legacy": "chat_template.json"}.get(name)
        if file is not None:
            path = folder / file
            data = json.loads(path.read_text("utf-8")) if path.is_file() else {}
            path.write_text(json.dumps({**data, "chat_template": template}), "utf-8")
        elif name == "jinja":
            (folder / "chat_template.jinja").write_text(template, "utf-8")
        else:
            (folder / "additional_chat_templates").mkdir(exist_ok=True)
            path = folder / "additional_chat_templates" / f"{name}.jinja"
            path.write_text(template, "utf-8")


@pytest.mark.parametrize(
    "files",
    [
        {"jinja": "FILE", "config": "KEY"},
        {"config": "KEY", "legacy": "OLD"},
        {"jinja": "FILE", "legacy": "OLD"},
        {"jinja": "FILE", "config": "KEY", "tool_use": "TOOLS", "rag": "RAG"},
        {"config": [{"name": "default", "template": "D"}, {"name": "rag", "template": "R"}]},
        {"config": "KEY", "rag": "RAG"},
    ],
    ids=lambda files: "+".join(files),
)
def test_the_templates_are_those_of_transformers(
    files: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    put(folder, **files)
    taken = AutoTokenizer.from_pretrained(folder).chat_template
    named = taken if isinstance(taken, dict) else {"default": taken}
    keys = keys_of(folder, tmp_path / "out")
    assert keys.get(DEFAULT) == named.pop("default", None)
    assert keys.get(NAMES, []) == sorted(named)
    assert {name: keys[f"{DEFAULT}.{name}"] for name in named} == named


def test_a_template_without_a_configuration_is_not_lost(folder: Path, tmp_path: Path) -> None:
    """The converter reads no template where there is no tokenizer_config.json."""
    (folder / "tokenizer_config.json").unlink()
    put(folder, jinja="FILE")
    assert keys_of(folder, tmp_path / "out")[DEFAULT] == "FILE"


def test_a_model_with_a_processor_has_the_processors_template(folder: Path, tmp_path: Path) -> None:
    (folder / "preprocessor_config.json").write_text("{}", "utf-8")
    put(folder, jinja="NEW", legacy="OLD")
    assert keys_of(folder, tmp_path / "out")[DEFAULT] == "OLD"


def test_the_order_of_names_does_not_depend_on_the_process(folder: Path, tmp_path: Path) -> None:
    """The converter takes them out of a set, whose order changes with PYTHONHASHSEED."""
    put(folder, jinja="FILE", **{name: name.upper() for name in "abcdefgh"})
    assert keys_of(folder, tmp_path / "out")[NAMES] == list("abcdefgh")
