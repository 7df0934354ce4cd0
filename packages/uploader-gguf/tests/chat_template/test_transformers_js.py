"""The engine of transformers.js is a third opinion, where Node and the package are."""

from __future__ import annotations

from pathlib import Path

import pytest

from gguf_templates import PLAIN, Chat, chat_model
from uploader_gguf.chat_template import transformers_js

pytestmark = pytest.mark.skipif(
    transformers_js.installed() is None,
    reason="needs node, and npm's @huggingface/jinja in a folder of NODE_PATH",
)
JS_ONLY = "{{ 'a b'.split() | length }}{{ true }}"


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    return chat_model(tmp_path_factory.mktemp("chat"))


def test_what_only_it_writes_otherwise_is_named(chat: Chat) -> None:
    assert chat.record(JS_ONLY + PLAIN) == ([], ["transformers.js"])


def test_nothing_is_said_where_it_agrees(chat: Chat) -> None:
    assert chat.record(PLAIN) == ([], [])


def test_without_the_package_there_is_no_third_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_PATH", str(tmp_path))
    assert transformers_js.installed() is None
