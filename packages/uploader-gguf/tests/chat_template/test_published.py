"""Templates that people fine-tune with, and what else Jinja2 has: whatever differs is said.

Both engines are asked here once more, without the code that compares and explains.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from gguf_published import published
from gguf_templates import END, LOOP, Chat, chat_model, packed
from uploader_core.plugin import RefusedError
from uploader_gguf.chat_template import transformers_js
from uploader_gguf.chat_template.probes import PROBES, Probe, with_text_arguments
from uploader_gguf.chat_template.server import Server
from uploader_gguf.chat_template.settle import TEMPLATE

TEMPLATES = published()
EXPRESSIONS = (Path(__file__).parent / "expressions.txt").read_text("utf-8").splitlines()
SEED, AT_ONCE = 7, 5
SAFE = {"line-ends", "ollama-family"}
PLAIN = {probe.name for probe in PROBES if probe.ordinary}


def some(names: Iterable[str]) -> list[Any]:
    """Return all as parameters, of which a few run where slow tests do not."""
    every = sorted(names)
    quick = set(random.Random(SEED).sample(every, min(AT_ONCE, len(every))))
    return [pytest.param(n, marks=() if n in quick else pytest.mark.slow) for n in every]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    return chat_model(tmp_path_factory.mktemp("chat"))


@pytest.fixture(autouse=True)
def two_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NODE_PATH", raising=False)
    assert transformers_js.installed() is None


@pytest.mark.parametrize("name", some(TEMPLATES))
def test_what_differs_in_a_published_template_is_said_and_nothing_else(
    name: str, chat: Chat
) -> None:
    check(TEMPLATES[name], chat)


@pytest.mark.parametrize("expression", some(EXPRESSIONS))
def test_what_differs_in_an_expression_is_said_and_nothing_else(
    expression: str, chat: Chat
) -> None:
    check(LOOP + "<{{ m.role }}>{{ " + expression + " }} {{ m.content }}\n" + END, chat)


def check(template: str, chat: Chat) -> None:
    """Fail where a difference is silent, or an alarm is of nothing."""
    try:
        record = chat.settle(template).record
    except RefusedError as error:
        assert "does not start" in error.what or differences(chat, template)
        return
    assert record is not None
    differ = differences(chat, template)
    named = {probe for note in record["notes"] for probe in note["probes"]}
    healed = set(record["rewritten"]) - SAFE
    assert healed or differ <= named, "a difference that nobody hears of"
    if not differ & PLAIN:
        alarms = {n["kind"] for n in record["notes"] if PLAIN & set(n["probes"])}
        assert not healed
        assert alarms <= {"prefill", "system", "refused"}, "an alarm of plain text that is equal"


def differences(chat: Chat, template: str) -> set[str]:
    """Return the conversations of which the engines write other prompts, by default settings."""
    from transformers import AutoTokenizer

    chat.put(template)
    tokenizer = AutoTokenizer.from_pretrained(chat.folder.path)
    keys = {**chat.keys, TEMPLATE: packed(template)}
    bodies = [
        {"messages": with_text_arguments(p.messages), **({"tools": p.tools} if p.tools else {})}
        for p in PROBES
    ]
    with Server(chat.work) as server:
        answers = server.ask(keys, bodies)

    def prompt(probe: Probe, *, parts: bool) -> str | None:
        try:
            return tokenizer.apply_chat_template(
                _in_parts(probe.messages) if parts else list(probe.messages),
                tools=probe.tools or None,
                tokenize=False,
                add_generation_prompt=True,
            )
        except Exception:  # transformers refuses it
            return None

    # Some templates take the content of a message as a list of parts only.
    parts = PROBES[0].contents()[0] not in (prompt(PROBES[0], parts=False) or "")
    expected = [prompt(probe, parts=parts) for probe in PROBES]
    return {
        probe.name
        for probe, ours, answer in zip(PROBES, expected, answers, strict=True)
        if ours is not None and answer.prompt != ours
    }


def _in_parts(messages: tuple[dict, ...]) -> list[dict]:
    return [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]
