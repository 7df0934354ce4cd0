"""The Go template that ``ollama run hf.co/...`` gets from a repository's file ``template``.

The Hub hands Ollama a Go template of its own making for nearly every GGUF, and then the trained
template is not rendered. A file ``template`` in the repository replaces it. One is written where
the GGUF's template can be said in Go: then plain conversations are rendered to the trained bytes.
Where that template has tools or reasoning, Ollama prefers it to a Go template that has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uploader_core.plugin import UploaderError
from uploader_gguf.chat_template.probes import PROBES
from uploader_gguf.format.gguf_file import read_header
from uploader_merged.rendering import limited_templates
from uploader_ollama.model.go_template import Render, go_template

_NAMED = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding", "sep": "seperator"}
"""Part of a tokenizer, and the key that GGUF has for it, spelling included."""


def hub_template(path: Path) -> str:
    """Return a Go template with the bytes of a GGUF's chat template on plain conversations.

    Returns:
        "" where there is none, or where the file does not say whether a BOS is put before prompts.

    Raises:
        IntegrityError: Not a whole GGUF file.
        RefusedError: The template took too much time or memory.
    """
    keys = read_header(path).keys
    template = keys.get("tokenizer.chat_template")
    adds_bos = keys.get("tokenizer.ggml.add_bos_token")
    if not template or not isinstance(adds_bos, bool):
        return ""
    tokens = keys.get("tokenizer.ggml.tokens") or []
    named = {}
    for part, key in _NAMED.items():
        number = keys.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(number, int) and 0 <= number < len(tokens):
            named[f"{part}_token"] = tokens[number]
    bos = named.get("bos_token", "") if adds_bos else ""
    plain = [probe.messages for probe in PROBES if probe.ordinary]
    with limited_templates():
        return go_template(_renderer(str(template), named), plain, bos=bos) or ""


def _renderer(template: str, named: Mapping[str, str]) -> Render:
    from transformers.utils import chat_template_utils

    # Any: its annotations want only dicts, and know no variables of templates.
    render_jinja: Any = chat_template_utils.render_jinja_template

    def render(messages: Sequence[Mapping[str, Any]]) -> str | None:
        try:
            texts, _ = render_jinja(
                conversations=[list(messages)],
                chat_template=template,
                add_generation_prompt=True,
                **named,
            )
        except UploaderError:  # it took too much time or memory
            raise
        except Exception:  # templates raise whatever Python raises
            return None
        return str(texts[0])

    return render
