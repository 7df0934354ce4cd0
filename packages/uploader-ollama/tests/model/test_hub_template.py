"""The file ``template`` that ``ollama run hf.co/...`` gets."""

from __future__ import annotations

from pathlib import Path

from ollama_files import gguf
from uploader_ollama.model.hub_template import hub_template

CHATML = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_template_of_a_gguf_in_go(tmp_path: Path) -> None:
    path = gguf(
        tmp_path / "m.gguf",
        tokenizer__chat_template=CHATML,
        tokenizer__ggml__bos_token_id=1,
        tokenizer__ggml__add_bos_token=False,
    )

    assert hub_template(path) == (
        '{{ $last := "" }}{{ range .Messages }}'
        '{{ if eq .Role "user" }}{{ if eq $last "" }}<s><|im_start|>user\n'
        '{{ else if eq $last "assistant" }}<|im_end|>\n<|im_start|>user\n'
        "{{ else }}<|im_end|>\n<|im_start|>user\n{{ end }}{{ .Content }}{{ $last = .Role }}"
        '{{ else if eq .Role "assistant" }}<|im_end|>\n<|im_start|>assistant\n{{ .Content }}'
        "{{ $last = .Role }}"
        '{{ else if eq .Role "system" }}{{ if eq $last "" }}<s><|im_start|>system\n'
        "{{ else }}<|im_end|>\n<|im_start|>system\n{{ end }}{{ .Content }}{{ $last = .Role }}"
        "{{ end }}{{ end }}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_bos_of_the_tokenizer_is_not_written_twice(tmp_path: Path) -> None:
    path = gguf(
        tmp_path / "m.gguf",
        tokenizer__chat_template=CHATML,
        tokenizer__ggml__bos_token_id=1,
        tokenizer__ggml__add_bos_token=True,
    )

    assert "<s>" not in hub_template(path)
    assert hub_template(path)


def test_file_that_does_not_say_who_adds_the_bos_gets_none(tmp_path: Path) -> None:
    assert hub_template(gguf(tmp_path / "m.gguf", tokenizer__chat_template=CHATML)) == ""


def test_template_that_trims_gets_none(tmp_path: Path) -> None:
    trimming = CHATML.replace("m.content", "m.content | trim")
    path = gguf(
        tmp_path / "m.gguf",
        tokenizer__chat_template=trimming,
        tokenizer__ggml__add_bos_token=False,
    )

    assert hub_template(path) == ""
