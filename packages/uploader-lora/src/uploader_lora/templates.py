"""Chat templates: files that contradict each other, and what a release has in their place.

Which one transformers takes is in ``uploader_core.chat_templates``. Other programs have orders of
their own (https://github.com/huggingface/swift-transformers/issues/204), so a release says the same
in all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    ChatTemplates,
    Finding,
    has_processor,
    processor_templates,
    tokenizer_templates,
)
from uploader_lora.stored import read_json

JINJA = "chat_template.jinja"
LEGACY = "chat_template.json"
PROCESSOR = "processor_config.json"
_CONFIG = "tokenizer_config.json"


def settled(files: Mapping[str, Path]) -> dict[str, str]:
    """Return new contents of the files that contradict the template that is taken.

    Where a processor takes another template than the tokenizer does, there is no answer that is
    right for both, and the files stay as they are.

    Returns:
        Texts by name; empty for most folders.
    """
    taken = tokenizer_templates(files)
    changed: dict[str, str] = {}
    if not taken:
        return changed
    config = _read(files, _CONFIG)
    if config.get("chat_template") and ChatTemplates.from_json(config["chat_template"]) != taken:
        changed[_CONFIG] = _dumped({**config, "chat_template": taken.as_json()})
    if LEGACY in files and not has_processor(files):
        legacy = _read(files, LEGACY)
        if legacy.get("chat_template") != taken.default:
            changed[LEGACY] = _dumped({**legacy, "chat_template": taken.as_json()})
    return changed


def check_templates(files: Mapping[str, Path]) -> Iterator[Finding]:
    """Say which template is taken where files contradict each other."""
    taken, changed = tokenizer_templates(files), settled(files)
    source = next((n for n in files if n.endswith(".jinja")), _CONFIG)
    if changed:
        yield Finding(
            level="note",
            what=f"{source} and {' and '.join(sorted(changed))} hold different chat templates; the "
            f"release has the one of {source} everywhere, which transformers takes",
        )
    theirs = processor_templates(files)
    if taken and theirs and theirs != taken:
        yield Finding(
            level="warning",
            what="the files hold two chat templates: AutoTokenizer takes the one of "
            f"{source}, AutoProcessor the one of {_origin_for_processor(files)}",
            next="save the template that the model was trained with into both, or remove the other",
        )


def _origin_for_processor(files: Mapping[str, Path]) -> str:
    if ChatTemplates.from_json(_read(files, PROCESSOR).get("chat_template")):
        return PROCESSOR
    return LEGACY if LEGACY in files else JINJA


def with_template(file: Path, templates: ChatTemplates) -> str:
    """Return a JSON file's text with other templates in it."""
    return _dumped({**read_json(file), "chat_template": templates.as_json()})


def _read(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    return read_json(files[name]) if name in files else {}


def _dumped(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
