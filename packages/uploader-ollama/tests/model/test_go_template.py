"""Go templates with the bytes of Jinja templates, rendered by Go where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from uploader_gguf.chat_template.probes import PROBES
from uploader_ollama.model.go_template import go_template

PLAIN = [probe.messages for probe in PROBES if probe.ordinary]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    + CHATML
)
SYSTEM_IN_TURN = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set first = messages[0].content + '\n\n' %}{% set rest = messages[1:] %}"
    "{% else %}{% set first = '' %}{% set rest = messages %}{% endif %}{% for m in rest %}"
    "{% if m.role == 'user' %}[INST] {{ first if loop.first else '' }}{{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
ALPACA = (
    "{% for m in messages %}{% if m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n"
    "{% elif m.role == 'system' %}{{ m.content }}\n\n"
    "{% else %}### Response:\n{{ m.content }}{{ eos_token }}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}### Response:\n{% endif %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'user' %}Question: {{ m.content }}\n"
    "{% elif m.role == 'assistant' %}Answer: {{ m.content }}{{ eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}"
)
BRACES = CHATML.replace("<|im_end|>", "{{ '{{end}}' }}")
CHAINS = {
    "chatml": (CHATML, ""),
    "default system": (DEFAULT_SYSTEM, ""),
    "system in the turn": (SYSTEM_IN_TURN, "<s>"),
    "alpaca": (ALPACA, ""),
    "leaves the system prompt away": (NO_SYSTEM, ""),
    "braces": (BRACES, ""),
}
GO = r"""
package main

import ("encoding/json"; "os"; "text/template")

type Message struct { Role, Content string }

func main() {
	var given struct { Template string; Conversations [][]Message }
	json.NewDecoder(os.Stdin).Decode(&given)
	parsed := template.Must(template.New("").Option("missingkey=zero").Parse(given.Template))
	rendered := []string{}
	for _, messages := range given.Conversations {
		var text Builder
		err := parsed.Execute(&text, map[string]any{"Messages": messages})
		if err != nil { panic(err) }
		rendered = append(rendered, string(text))
	}
	json.NewEncoder(os.Stdout).Encode(rendered)
}

type Builder []byte

func (b *Builder) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }
"""


def rendered_by(template: str) -> Callable[[Sequence[Mapping[str, Any]]], str | None]:
    def render(messages: Sequence[Mapping[str, Any]]) -> str | None:
        try:
            texts, _ = render_jinja_template(
                conversations=[list(messages)],
                chat_template=template,
                add_generation_prompt=True,
                bos_token="<s>",
                eos_token="</s>",
            )
        except Exception:  # whatever a template raises
            return None
        return str(texts[0])

    return render


@pytest.mark.parametrize("name", CHAINS)
def test_chain_becomes_a_go_template(name: str) -> None:
    template, bos = CHAINS[name]

    text = go_template(rendered_by(template), PLAIN, bos=bos)

    assert text is not None
    assert text.count("{{ .Content }}") >= 2


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed: apt install golang-go")
@pytest.mark.parametrize("name", CHAINS)
def test_go_renders_it_to_the_same_bytes(name: str, tmp_path: Path) -> None:
    template, bos = CHAINS[name]
    render = rendered_by(template)
    text = go_template(render, PLAIN, bos=bos)
    conversations = [list(messages) for messages in PLAIN if render(messages) is not None]
    (tmp_path / "render.go").write_text(GO, "utf-8")

    found = subprocess.run(
        ["go", "run", str(tmp_path / "render.go")],
        input=json.dumps({"Template": text, "Conversations": conversations}),
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "GO111MODULE": "off"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert [bos + prompt for prompt in json.loads(found.stdout)] == [
        render(messages) for messages in conversations
    ]


NO_CHAINS = {
    # Go has no function for it, and a text with blanks around it would be another prompt.
    "trimmed": CHATML.replace("m.content", "m.content | trim"),
    # What an earlier turn looks like depends on whether it is the last one.
    "looks back": CHATML.replace(
        "{{ m.content }}", "{{ m.content if loop.last else m.content | upper }}"
    ),
    "twice": CHATML.replace("{{ m.content }}", "{{ m.content }}{{ m.content }}"),
    "refuses": "{{ raise_exception('no') }}",
}


@pytest.mark.parametrize("name", NO_CHAINS)
def test_what_is_no_chain_gets_none(name: str) -> None:
    assert go_template(rendered_by(NO_CHAINS[name]), PLAIN) is None


def test_bos_that_the_server_adds_is_left_out() -> None:
    render = rendered_by("{{ bos_token }}" + CHATML)

    with_it, without = go_template(render, PLAIN), go_template(render, PLAIN, bos="<s>")

    assert with_it is not None
    assert "<s>" in with_it
    assert without is not None
    assert "<s>" not in without
    assert without == go_template(rendered_by(CHATML), PLAIN)


def test_prompt_without_the_bos_that_the_server_adds_gets_none() -> None:
    assert go_template(rendered_by(CHATML), PLAIN, bos="<s>") is None
