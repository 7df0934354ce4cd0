"""What the Hub makes of a template for ``ollama run hf.co/...``, by its own library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from uploader_gguf.chat_template.ollama_families import family_of, kept_apart

PACKAGE = "@huggingface/ollama-utils"
SCRIPT = f"""
const {{ convertGGUFTemplateToOllama: convert }} = require("{PACKAGE}");
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const made = asked.map((chat_template) => {{
  const found = convert({{ chat_template, bos_token: "<s>", eos_token: "</s>" }});
  return found ? [found.model, found.ollama.template] : null;
}});
console.log(JSON.stringify(made));
"""
FAMILIES = [
    family["template"]
    for family in json.loads(
        resources.files("uploader_gguf.chat_template").joinpath("ollama_families.json").read_text()
    )["families"]
]
Convert = Callable[[list[str]], list[Any]]


@pytest.fixture(scope="module")
def convert() -> Convert:
    """The Hub's own conversion, all templates in one process."""
    node = shutil.which("node")
    places = [Path(p) for p in os.environ.get("NODE_PATH", "").split(os.pathsep) if p]
    if node is None or not any((place / PACKAGE).is_dir() for place in places):
        pytest.skip(f"npm install {PACKAGE}, and name its folder in NODE_PATH")

    def run(templates: list[str]) -> list[Any]:
        done = subprocess.run(
            [node, "-e", SCRIPT],
            input=json.dumps(templates),
            capture_output=True,
            text=True,
            check=True,
        )
        found: list[Any] = json.loads(done.stdout)
        return found

    return run


def test_the_hub_has_a_go_template_for_each_of_ollamas_families(convert: Convert) -> None:
    assert all(convert(FAMILIES))


def test_the_comment_that_keeps_ollama_off_does_not_keep_the_hub_off(convert: Convert) -> None:
    apart = [kept_apart(template) for template in FAMILIES]
    assert not any(map(family_of, apart))
    assert [bool(found) for found in convert(apart)] == [True] * len(apart)


def test_the_hub_converts_a_template_of_no_family_too(convert: Convert) -> None:
    own = (
        "{% for m in messages %}<<{{ m['role'] }}>>{{ m['content'] }}<<end>>\n{% endfor %}"
        "{% if add_generation_prompt %}<<assistant>>{% endif %}"
    )
    assert convert([own])[0][0] == "auto-conversion"
