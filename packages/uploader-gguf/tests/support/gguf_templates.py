"""Chat templates of our own, one and more for each kind of difference between the engines.

The kinds are those of docs/chat-templates.md.
"""

from __future__ import annotations

import json
import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf_oracles import context
from gguf_tokenizers import byte_level, save_model
from uploader_gguf import step
from uploader_gguf.chat_template.settle import TEMPLATE, Settled, settle
from uploader_gguf.format.gguf_file import string
from uploader_gguf.llama_cpp import toolchain
from uploader_gguf.llama_cpp.converter_folder import ConverterFolder
from uploader_gguf.llama_cpp.weights import open_weights

ADD_BOS, ADD_EOS = "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"
YES = struct.pack("<I?", 7, True)

LOOP = "{% for m in messages %}"
TURN = "<{{ m.role }}>{{ m.content }}\n"
END = "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
PLAIN = LOOP + TURN + END

REWRITTEN: dict[str, tuple[str, str]] = {
    "line ends": (PLAIN.replace("%}", "%}\r\n") + "\r", "line-ends"),
    "newline before a loop": ("\n" + PLAIN, "first-character"),
    "character and indent before a loop": (">  " + PLAIN, "first-character"),
    "tools that are not none": ("{% if tools is not none %}T{% endif %}" + PLAIN, "tools-none"),
    "tools that are none": ("{% if tools == none %}No tools.{% endif %}" + PLAIN, "tools-none"),
    "tools printed where none are": (
        "{% if tools is not none %}{{ tools | tojson }}{% endif %}" + PLAIN,
        "tools-none",
    ),
    "documents that are not none": (
        "{% if documents is not none %}D{% endif %}" + PLAIN,
        "tools-none",
    ),
    "name set in a loop": (
        "{% set new = 1 %}" + LOOP + "{% if new %}# {% endif %}{% set new = 0 %}" + TURN + END,
        "loop-names",
    ),
    "name set in a loop in a loop": (
        LOOP + "{% set n = 0 %}{% for x in [1, 2] %}{{ n }}{% set n = n + x %}{% endfor %}{{ n }}"
        + TURN + END,
        "loop-names",
    ),
    "marks of another model in a comment": (
        "{# [SYSTEM_PROMPT] [TOOL_CALLS] [ARGS] #}" + PLAIN,
        "comments",
    ),
}  # fmt: skip
"""Templates, and the one rewrite that heals each."""

NOTED: dict[str, tuple[str, str]] = {
    "thinking off by default": (
        LOOP + TURN + "{% endfor %}{% if add_generation_prompt %}<assistant>"
        "{% if not enable_thinking | default(false) %}<think>\n\n</think>{% endif %}{% endif %}",
        "thinking",
    ),
    "thinking on where it is said": (
        LOOP + TURN + "{% endfor %}{% if add_generation_prompt %}<assistant>"
        "{% if enable_thinking is defined %}<think>{% if not enable_thinking %}</think>{% endif %}"
        "{% endif %}{% endif %}",
        "thinking",
    ),
    "numbers of tools": ("{% if tools %}{{ tools | tojson }}{% endif %}" + PLAIN, "numbers"),
    "numbers of calls": (
        LOOP + TURN + "{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}"
        + END,
        "numbers",
    ),
    "end of text behind a history": (
        LOOP + TURN + "{% endfor %}{% if add_generation_prompt %}<assistant>"
        "{% else %}{{ eos_token }}{% endif %}",
        "prefill",
    ),
    "date of the template": (
        "{% if date_string is not defined %}{% set date_string = '26 Jul 2024' %}{% endif %}"
        "Today is {{ date_string }}.\n" + PLAIN,
        "dates",
    ),
    "no system prompt": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + PLAIN,
        "system",
    ),
    "system prompt that is left away": (
        LOOP + "{% if m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n{% elif m.role =="
        " 'assistant' %}### Response:\n{{ m.content }}{{ eos_token }}\n\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}### Response:\n{% endif %}",
        "system",
    ),
    "arguments printed as they are": (
        LOOP + TURN + "{% for c in m.tool_calls %}{{ c.function.arguments }}{% endfor %}" + END,
        "arguments",
    ),
    "null argument": (
        LOOP + TURN + "{% for c in m.tool_calls %}{% for k, v in c.function.arguments | items %}"
        "{% if v is none %}{{ k }}={{ v }}{% endif %}{% endfor %}{% endfor %}" + END,
        "nulls",
    ),
    "reasoning by its older name": (
        LOOP + "{% if m.thinking %}({{ m.thinking }}){% endif %}" + TURN + END,
        "reasoning",
    ),
    "trimmed contents": (PLAIN.replace("m.content", "m.content | trim"), "blanks"),
    "letters in upper case": (PLAIN.replace("m.content", "m.content | upper"), "letters"),
    "length of a text": (PLAIN.replace("<{{", "<{{ m.content | length }} {{"), "letters"),
    "escaped HTML": (PLAIN.replace("m.content", "'' | safe + m.content"), "html"),
}  # fmt: skip
"""Templates, and the kind of note that each gets."""

REFUSED: dict[str, tuple[str, str]] = {
    "format of numbers": (LOOP + "{{ '%02d' % loop.index }}" + TURN + END, "does not start"),
    "loop over letters": (LOOP + "{% for c in m.content %}{{ c }}{% endfor %}" + END, "loses '"),
    "marks of another model in a text": (
        "{% if false %}[SYSTEM_PROMPT] [TOOL_CALLS] [ARGS]{% endif %}" + PLAIN,
        "loses '",
    ),
    "format by a filter": (PLAIN.replace("m.content", "'%s' | format(m.content)"), "loses '"),
    "first letter of a text": (PLAIN.replace("m.content", "m.content[0]"), "'text' otherwise"),
    "beginning of a text": (PLAIN.replace("m.content", "m.content[:30]"), "loses '"),
    "microseconds": ("{{ strftime_now('%f') }}" + PLAIN, "'text' otherwise"),
    "none printed": ("{{ none }}" + PLAIN, "'text' otherwise"),
    "tools printed": ("{{ tools }}" + PLAIN, "'text' otherwise"),
}  # fmt: skip
"""Templates, and what each is refused with."""

EQUAL: dict[str, str] = {
    "plain": PLAIN,
    "begins with BOS": "{{ bos_token }}" + PLAIN,
    "vicuna": "{{ bos_token }}" + LOOP + "{% if m.role == 'user' %}USER: {{ m.content }} {% elif"
    " m.role == 'assistant' %}ASSISTANT: {{ m.content }}{{ eos_token }}{% else %}{{ m.content }}\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}",
    "generation tags": LOOP + "<{{ m.role }}>{% generation %}{{ m.content }}{% endgeneration %}"
    + END,
    "transformers refuses tools": "{% if tools %}{{ 'a' + none }}{% endif %}" + PLAIN,
    "time of day": "{{ strftime_now('%H:%M:%S') }}" + PLAIN,
    "names of a namespace": "{% set ns = namespace(n=0) %}" + LOOP + "{% set ns.n = ns.n + 1 %}"
    "{{ ns.n }}" + TURN + END,
    "parts of a content": LOOP + "<{{ m.role }}>{% for p in m.content %}{% if p.type == 'text' %}"
    "{{ p.text }}{% else %}<image>{% endif %}{% endfor %}" + END,
}  # fmt: skip
"""Templates that nothing is to be said of."""


def packed(text: str) -> bytes:
    """Pack a text as a value of a GGUF."""
    return struct.pack("<I", 8) + string(text)


@dataclass(frozen=True)
class Chat:
    """A model of which only the chat template changes."""

    folder: ConverterFolder
    keys: dict[str, bytes]
    config: dict[str, Any]
    work: Path

    def put(self, template: str | list[dict[str, str]]) -> None:
        """Let the tokenizer have a template, or several with names."""
        path = self.folder.path / "tokenizer_config.json"
        path.write_text(json.dumps({**self.config, "chat_template": template}), "utf-8")

    def settle(self, template: str, **keys: bytes) -> Settled:
        """Settle a template, as the step does before it writes."""
        self.put(template)
        given = {**self.keys, TEMPLATE: packed(template), **keys}
        return settle(given, self.folder, self.work, logging.getLogger("test"))

    def record(self, template: str) -> tuple[list[str], list[str]]:
        """Return the names of rewrites, and the kinds of notes."""
        found = self.settle(template).record
        assert found is not None
        kinds = [note["kind"] for note in found["notes"]]
        # Short templates are near to one of Ollama's families.
        return [name for name in found["rewritten"] if name != "ollama-family"], kinds


def chat_model(place: Path, *added: Any) -> Chat:
    """Make a small model with a byte-level vocabulary; ``<s>`` and ``</s>`` are around a text.

    Args:
        place: For its folder.
        added: More tokens.
    """
    folder = place / "Chat"
    folder.mkdir()
    tokenizer = byte_level(folder, "<s>", "</s>", *added, bos_token="<s>", eos_token="</s>")
    save_model(folder, len(tokenizer))
    (folder / "chat_template.jinja").write_text("X", "utf-8")
    given = context(folder, place, quants=("F16",))
    weights = open_weights(given.input("checkpoint"))
    made = step._prepare(given, weights)
    keys = step._plan(given, toolchain.find(None), weights, made, set()).keys
    config = json.loads((made.path / "tokenizer_config.json").read_text("utf-8"))
    return Chat(folder=made, keys=keys, config=config, work=place / "work")
