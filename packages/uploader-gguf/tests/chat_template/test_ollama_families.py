"""Which templates Ollama would replace by a family's, and how a template is kept out of that."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from transformers.utils.chat_template_utils import _compile_jinja_template

from uploader_gguf.chat_template.ollama_families import family_of, kept_apart

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "3+3?"},
]
FAMILIES = json.loads(
    resources.files("uploader_gguf.chat_template").joinpath("ollama_families.json").read_text()
)["families"]


def render(template: str) -> str:
    compiled = _compile_jinja_template(template)
    return compiled.render(
        messages=TURNS, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
    )


def test_a_variant_of_chatml_is_taken_for_chatml() -> None:
    assert family_of(CHATML) == "chatml"


def test_a_template_of_its_own_is_of_no_family() -> None:
    assert (
        family_of("{% for m in messages %}<<{{ m.role }}>> {{ m.content }}\n{% endfor %}") is None
    )


@pytest.mark.parametrize("edits, family", [(99, "chatml"), (100, None)])
def test_the_bound_is_that_of_ollama(edits: int, family: str | None) -> None:
    assert family_of(FAMILIES[0]["template"] + "~" * edits) == family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family["name"])
def test_each_family_kept_apart_is_of_none(family: dict[str, str]) -> None:
    assert family_of(family["template"]) is not None
    assert family_of(kept_apart(family["template"])) is None


@pytest.mark.parametrize(
    "end", ["", "\n", "\n\n", "  ", "\n  ", "{% if true %}\n{% endif %}\n  ", "{{- '' -}}\n "]
)
@pytest.mark.parametrize("start", ["", "\n", "  "])
def test_kept_apart_renders_the_same_bytes(start: str, end: str) -> None:
    template = start + CHATML + end

    assert render(kept_apart(template)) == render(template)
    assert kept_apart(template) != template


def test_kept_apart_twice_is_kept_apart_once() -> None:
    assert kept_apart(kept_apart(CHATML)) == kept_apart(CHATML)


def test_the_comment_gives_a_template_no_capability_that_ollama_would_read_from_it() -> None:
    added = kept_apart(CHATML).removeprefix(CHATML)

    assert not any(word in added for word in ("tools", "tool_call", "<think>", "</think>"))


def test_what_is_no_jinja_is_refused() -> None:
    with pytest.raises(ValueError, match="not Jinja"):
        kept_apart(CHATML + "{{ ? }}")
