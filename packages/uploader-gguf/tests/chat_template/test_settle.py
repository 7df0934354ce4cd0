"""Each difference between the engines is rewritten, named or refused; none is silent."""

from __future__ import annotations

import json
import logging
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from transformers.utils import chat_template_utils

from gguf_templates import (
    ADD_BOS,
    ADD_EOS,
    EQUAL,
    NOTED,
    PLAIN,
    REFUSED,
    REWRITTEN,
    YES,
    Chat,
    chat_model,
    packed,
)
from uploader_core.plugin import ChatTemplates, PluginError, RefusedError
from uploader_gguf.chat_template.compare import Comparison, cases
from uploader_gguf.chat_template.judge import notes_of
from uploader_gguf.chat_template.probes import HIGHEST, LOWEST
from uploader_gguf.chat_template.reference import Reference
from uploader_gguf.chat_template.server import Answer
from uploader_gguf.chat_template.settle import REWRITTEN as KEY
from uploader_gguf.chat_template.settle import TEMPLATE, settle


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    return chat_model(tmp_path_factory.mktemp("chat"))


@pytest.fixture(autouse=True)
def two_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the engine of transformers.js, which has differences of its own."""
    monkeypatch.delenv("NODE_PATH", raising=False)


@pytest.mark.parametrize("name", EQUAL)
def test_nothing_is_said_of_a_template_that_both_engines_read_alike(name: str, chat: Chat) -> None:
    assert chat.record(EQUAL[name]) == ([], [])


def test_the_clock_that_goes_on_between_two_prompts_is_no_difference() -> None:
    seconds = count(10)

    def apply(messages: list[dict[str, Any]], **given: Any) -> str:
        texts = "".join(f"<{m['role']}>{m['content']}\n" for m in messages)
        end = "<assistant>" if given["add_generation_prompt"] else ""
        tools = json.dumps(given.get("tools"))
        return f"It is 12:00:{next(seconds)}.\n{tools}{texts}{end}"

    reference = Reference(apply=apply, templates=ChatTemplates(default="X"))
    comparison = Comparison(own=None, bos=None, begin="", eos=None)
    outcomes = []
    for case in cases(reference):
        theirs = reference.render(case.probe.messages, case.probe.tools)
        assert isinstance(theirs, str)
        changed = theirs.replace(repr(LOWEST), "4207").replace(repr(HIGHEST), "2.5e+06")
        outcomes.append(comparison.of(reference, case, Answer(prompt=changed)))
    assert [note.kind for note in notes_of(reference, outcomes)] == ["numbers"]


@pytest.mark.parametrize("name", REWRITTEN)
def test_a_rewrite_heals_and_is_recorded_in_the_file(name: str, chat: Chat) -> None:
    template, rewrite = REWRITTEN[name]
    rewritten, notes = chat.record(template)
    assert rewritten == [rewrite]
    assert set(notes) <= {"numbers"}


@pytest.mark.parametrize("name", NOTED)
def test_what_cannot_be_rewritten_is_named(name: str, chat: Chat) -> None:
    template, kind = NOTED[name]
    if kind == "reasoning" and not hasattr(chat_template_utils, "_alias_reasoning_fields"):
        pytest.skip("transformers 4 has one name for it")
    assert chat.record(template) == ([], [kind])


@pytest.mark.parametrize("name", REFUSED)
def test_what_answers_other_prompts_is_refused(name: str, chat: Chat) -> None:
    template, why = REFUSED[name]
    with pytest.raises(RefusedError) as caught:
        chat.settle(template)
    assert why in caught.value.what
    assert "--no-gguf-template-check" in str(caught.value.next)


# Only llama.cpp has no cycler; what comes then is for it alone.
BOMBS = {
    "a loop that never ends": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "takes llama.cpp more than 0.8 s",
    ),
    # What is at an end first depends on the processor.
    "a text of all memory": (
        "{% set ns = namespace(s='x' * 99) %}{% for a in range(60) %}"
        "{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        "takes llama.cpp more than 0.8 s|llama.cpp's server does not start",
    ),
}


@pytest.mark.parametrize(("template", "why"), BOMBS.values(), ids=BOMBS)
def test_what_takes_llama_cpp_alone_too_much_is_ended_and_refused(
    template: str, why: str, chat: Chat
) -> None:
    with pytest.raises(RefusedError, match=why):
        chat.settle("{% if cycler is not defined %}" + template + "{% endif %}" + PLAIN)


def test_nothing_is_changed_where_nothing_is_wrong(chat: Chat) -> None:
    assert chat.settle("{{ bos_token }}" + 20 * "{# ~~~~~~~~~~ #}" + PLAIN).keys == {}


def test_the_file_says_what_was_done_to_its_template(chat: Chat) -> None:
    keys = chat.settle("\n" + 20 * "{# ~~~~~~~~~~ #}" + PLAIN).keys
    assert keys.keys() == {TEMPLATE, KEY}
    assert b"first-character" in keys[KEY]


def test_the_template_for_tools_is_rewritten_as_well(chat: Chat) -> None:
    template, _ = REWRITTEN["tools printed where none are"]
    named = {"default": "\n" + PLAIN, "tool_use": "\n" + template}
    chat.put([{"name": name, "template": text} for name, text in named.items()])
    keys = {f"{TEMPLATE}.tool_use": packed(named["tool_use"]), TEMPLATE: packed(named["default"])}
    settled = settle({**chat.keys, **keys}, chat.folder, chat.work, logging.getLogger("test"))
    assert settled.record is not None
    assert "first-character" in settled.record["rewritten"]
    assert b"{{ '\\n' }}" in settled.keys[f"{TEMPLATE}.tool_use"]
    assert b"{{ '\\n' }}" in settled.keys[TEMPLATE]


def test_a_template_that_ollama_would_not_use_gets_a_comment(chat: Chat) -> None:
    settled = chat.settle(PLAIN)
    assert settled.record is not None
    assert settled.record["rewritten"] == ["ollama-family"]
    assert b"keeps Ollama from" in settled.keys[TEMPLATE]


@pytest.mark.parametrize("template", [PLAIN, "\n{{ bos_token }}" + PLAIN])
def test_a_prompt_begins_as_in_training(template: str, chat: Chat) -> None:
    """llama.cpp puts BOS before a prompt that has none, or has it behind a line end."""
    settled = chat.settle(template, **{ADD_BOS: YES})
    assert settled.record is not None
    assert "add-bos" in settled.record["rewritten"]
    assert settled.keys[ADD_BOS] != YES


def test_a_prompt_that_begins_with_bos_keeps_the_key(chat: Chat) -> None:
    settled = chat.settle("{{ bos_token }}" + PLAIN, **{ADD_BOS: YES})
    assert ADD_BOS not in settled.keys


def test_a_prompt_does_not_end_a_text(chat: Chat) -> None:
    """Fine-tuners let their tokenizers end every text, for training."""
    settled = chat.settle("{{ bos_token }}" + PLAIN, **{ADD_EOS: YES})
    assert settled.record is not None
    assert "add-eos" in settled.record["rewritten"]
    assert settled.keys[ADD_EOS] != YES


def test_the_setting_that_gives_the_prompts_of_training_is_named(chat: Chat) -> None:
    found = {}
    for name in ("thinking off by default", "thinking on where it is said"):
        record = chat.settle(NOTED[name][0]).record
        assert record is not None
        found[name] = record["notes"][0]["said"]
    assert (
        'chat_template_kwargs to `{"enable_thinking": false}`' in found["thinking off by default"]
    )
    assert "no setting of llama.cpp gives" in found["thinking on where it is said"]


def test_a_library_that_has_no_such_server_is_no_fault_of_the_template(
    chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("CommonParams = None\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PluginError, match="server cannot be started: TypeError"):
        chat.settle(PLAIN)


def test_a_token_that_takes_a_line_end_with_it_is_named(tmp_path: Path) -> None:
    """llama.cpp knows such tokens of Phi-3 alone; the prompt is equal, and its tokens are not."""
    chat = chat_model(tmp_path, AddedToken("<|end|>", special=True, rstrip=True))
    assert chat.record(PLAIN.replace("\n", "<|end|>\n")) == ([], ["tokens"])


def test_where_transformers_has_no_tokenizer_the_server_is_started_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chat = chat_model(tmp_path)
    (chat.folder.path / "tokenizer.json").unlink()
    assert chat.settle(PLAIN).record is None
    assert "prompts were not compared" in caplog.text
    with pytest.raises(RefusedError, match="does not start"):
        chat.settle(REFUSED["format of numbers"][0])
