"""One command from a fine-tune's folder to a model in Ollama that answers with its template."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama as pypi
import pytest

from ollama_server import LoopbackOllama
from uploader_gguf.chat_template.ollama_families import family_of

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def ollama(tmp_path: Path, uploader: Any) -> Iterator[LoopbackOllama]:
    """An Ollama that stores copies, as the real one does; the command is told its address."""
    with LoopbackOllama(folder=tmp_path / "ollama", copies=True).running() as server:
        uploader.environment["OLLAMA_HOST"] = server.url
        yield server


def test_a_fine_tune_becomes_a_model_that_answers_with_its_own_template(
    uploader: Any, fine_tune: Path, ollama: LoopbackOllama
) -> None:
    (fine_tune / "chat_template.jinja").write_text(CHATML)
    arguments = ("run", fine_tune, "--plugins", "gguf", "--gguf-quants", "Q8_0", "--name", "tiny",
                 "--no-gguf-smoke-test", "--no-gguf-tokenizer-check",
                 "--to", "ollama:me/tiny", "--yes", "--json")  # fmt: skip

    made = uploader(*arguments)

    assert made.returncode == 0, made.stderr
    client = pypi.Client(ollama.url)
    shown = client.show("me/tiny")
    client.close()
    # Ollama knows the family of this template, and was kept from using its own instead.
    assert family_of(CHATML) == "chatml"
    assert shown.template.startswith(CHATML) and family_of(shown.template) is None
    assert '"</s>"' in shown.parameters

    received = ollama.received
    again = uploader(*arguments)
    steps = {s["id"]: s["status"] for s in json.loads(again.stdout)["steps"]}
    assert set(steps.values()) == {"kept"} and ollama.received == received
