"""What a generation_config.json becomes, and Modelfiles."""

from __future__ import annotations

from typing import Any

import pytest

from uploader_core.plugin import RefusedError, UsageError
from uploader_ollama.model.modelfile import read_modelfile, write_modelfile
from uploader_ollama.model.recipe import Recipe, chosen, sampling
from uploader_ollama.model.versions import is_older, is_surely_known, renderer_of


def test_sampling_counts_only_where_transformers_samples() -> None:
    given = {"temperature": 0.6, "top_p": 0.95, "top_k": 20}
    assert sampling({**given, "do_sample": True}) == given
    assert sampling(given) == {}


def test_a_penalty_counts_always_and_over_the_whole_context() -> None:
    assert sampling({"repetition_penalty": 1.1}) == {"repeat_penalty": 1.1, "repeat_last_n": -1}
    assert sampling({"repetition_penalty": 1.0}) == {}


def test_parameters_of_the_user_have_ollamas_types() -> None:
    assert chosen(["num_ctx=8192", "temperature=0.6", "stop=<a>", "stop=<b>"]) == {
        "num_ctx": 8192,
        "temperature": 0.6,
        "stop": ["<a>", "<b>"],
    }


@pytest.mark.parametrize("option", ["num_ctx", "num_ctx=much", "mirostat=1", "use_mmap=maybe"])
def test_a_parameter_that_ollama_does_not_take_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="--ollama-parameters"):
        chosen([option])


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(parameters={"stop": ["<|im_end|>", "a b"], "temperature": 0.6}, requires="0.30.0"),
        Recipe(system='Say "yes".\nThen stop.', licences=("MIT\n\ntext\n", "more\n")),
        Recipe(template="{{ .Prompt }}\n", system="# no comment"),
        Recipe(parameters={"stop": ['"', 'a""']}, system='ends in a "quote"'),
    ],
)
def test_a_modelfile_says_what_it_was_written_from(recipe: Recipe) -> None:
    assert read_modelfile(write_modelfile(recipe, ["a.gguf"], ["b.gguf"])) == recipe


@pytest.mark.parametrize("text", ['three """ quotes', "no\u00a0break", "a\x0cfeed"])
def test_a_text_that_no_modelfile_can_say_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="a Modelfile cannot say"):
        write_modelfile(Recipe(system=text), ["a.gguf"])


def test_a_licence_loses_only_its_blanks() -> None:
    text = write_modelfile(Recipe(licences=('GPL\x0cnext "page"\n',)), ["a.gguf"])
    assert read_modelfile(text).licences == ('GPL next "page"\n',)


@pytest.mark.parametrize(
    "version, older",
    [("0.29.9", True), ("0.30.0-rc1", False), ("0.33.0", False), ("0.0.0", False), ("dev", False)],
)
def test_versions(version: str, older: bool) -> None:
    assert is_older(version) is older


def test_architectures_and_renderers() -> None:
    known: list[Any] = [is_surely_known("llama"), is_surely_known("qwen35")]
    assert known == [True, False]
    assert renderer_of("gemma4") == "gemma4" and renderer_of("llama") is None
