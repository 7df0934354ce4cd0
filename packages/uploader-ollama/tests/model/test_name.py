"""Names by Ollama's own rules, and the tags of a release."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_files import RELEASE
from uploader_core.plugin import GroupContext, UsageError
from uploader_ollama.model.name import Name, parse_name, tag_of, tags_for
from uploader_ollama.model.pieces import group, group_for_registry


@pytest.mark.parametrize(
    "text, short",
    [
        ("tiny", "tiny:latest"),
        ("tiny:v2", "tiny:v2"),
        ("me/tiny", "me/tiny:latest"),
        ("library/tiny", "tiny:latest"),
        ("registry.ollama.ai/library/tiny:a.b-c_d", "tiny:a.b-c_d"),
        ("localhost:5000/me/tiny", "localhost:5000/me/tiny:latest"),
    ],
)
def test_names_that_ollama_takes(text: str, short: str) -> None:
    assert str(parse_name(text)) == short


@pytest.mark.parametrize(
    "text, rule",
    [
        ("", "model ''"),
        ("tiny:", "no tag behind the colon"),
        ("-tiny", "with a letter, digit or _ first"),
        ("my tiny", "model 'my tiny'"),
        ("my.team/tiny", "namespace 'my.team'"),
        ("a/b/c/d", "more parts"),
        ("t" * 81, "1 to 80"),
        ("größe", "model 'größe'"),
        ("tiny:a/b", "namespace 'tiny:a'"),
    ],
)
def test_names_that_ollama_refuses(text: str, rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        parse_name(text)


@pytest.mark.parametrize(
    "kind, tag",
    [("Q4_K_M", "q4_K_M"), ("IQ4_XS", "iq4_XS"), ("BF16", "bf16"), ("4.0GiB", "4.0GiB")],
)
def test_tags_are_spelled_as_in_the_library(kind: str, tag: str) -> None:
    assert tag_of(kind) == tag


def test_one_file_has_the_tag_that_was_asked_for_alone() -> None:
    assert tags_for("", ["Q8_0"], "Q8_0") == {"Q8_0": ("latest",)}
    assert tags_for("v2", ["Q8_0"], "Q8_0") == {"Q8_0": ("v2",)}


def test_models_and_their_adapter_have_names_of_their_own() -> None:
    context = GroupContext(
        target="me/tiny:v2", kinds=("gguf", "gguf-lora"), settings=None, release=RELEASE
    )
    assert [g.target for g in group(context)] == ["me/tiny:v2", "me/tiny:v2-lora"]


@pytest.mark.parametrize("of", [group, group_for_registry])
def test_a_release_without_a_gguf_is_refused(of: Any) -> None:
    context = GroupContext(target="me/tiny", kinds=(), settings=None, release=RELEASE)
    with pytest.raises(UsageError, match="nothing of this release"):
        of(context)


def test_a_name_is_kept_when_it_is_given_a_tag() -> None:
    assert parse_name("me/tiny").at("q8_0") == Name(model="tiny", tag="q8_0", namespace="me")
