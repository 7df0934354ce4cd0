"""Which licence a text is, by its title: where no card names one, or to compare with a card."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_TITLES = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"LLAMA 2 COMMUNITY LICENSE", "llama2"),
        (r"META LLAMA 3 COMMUNITY LICENSE", "llama3"),
        (r"LLAMA 3\.1 COMMUNITY LICENSE", "llama3.1"),
        (r"LLAMA 3\.2 COMMUNITY LICENSE", "llama3.2"),
        (r"LLAMA 3\.3 COMMUNITY LICENSE", "llama3.3"),
        (r"LLAMA 4 COMMUNITY LICENSE", "llama4"),
        (r"Gemma Terms of Use", "gemma"),
        (r"Tongyi Qianwen (?:RESEARCH )?LICENSE AGREEMENT", "tongyi-qianwen"),
        (r"Qwen RESEARCH LICENSE AGREEMENT", "qwen-research"),
        (r"Qwen LICENSE AGREEMENT", "qwen"),
        (r"Mistral AI Research License", "mrl"),
        (r"Mistral AI Non-Production License", "mnpl"),
        (r"DeepSeek License Agreement", "deepseek"),
        (r"NVIDIA Open Model License", "nvidia-open-model-license"),
        (r"Stability AI Community License", "stabilityai-ai-community"),
        (r"Falcon (?:LLM|\S+ TII) License", "falcon-llm-license"),
        (r"EXAONE AI Model License Agreement", "exaone"),
        (r"Yi Series Models Community License", "yi-license"),
        (r"GNU AFFERO GENERAL PUBLIC LICENSE", "agpl-3.0"),
        (r"GNU LESSER GENERAL PUBLIC LICENSE Version 3", "lgpl-3.0"),
        (r"GNU GENERAL PUBLIC LICENSE Version 3", "gpl-3.0"),
        (r"Attribution-NonCommercial-NoDerivatives 4\.0", "cc-by-nc-nd-4.0"),
        (r"Attribution-NonCommercial-ShareAlike 4\.0", "cc-by-nc-sa-4.0"),
        (r"Attribution-NonCommercial 4\.0", "cc-by-nc-4.0"),
        (r"Attribution-ShareAlike 4\.0", "cc-by-sa-4.0"),
        (r"Attribution-NoDerivatives 4\.0", "cc-by-nd-4.0"),
        (r"Attribution 4\.0 International", "cc-by-4.0"),
        (r"Apache License,? Version 2\.0", "apache-2.0"),
        (r"Modified MIT License", ""),
        (r"MIT License", "mit"),
    )
)
_NAMES = re.compile(r"(?:LICEN[CS]E|COPYING)(?:\.(?:md|txt))?", re.IGNORECASE)
_TITLE = 300
"""Characters in which a title is looked for: further below, texts name others."""


def licence_of_texts(files: Iterable[Path]) -> str:
    """Return the Hub's name of the licence whose text is among some files, "" for none known.

    Several texts that disagree are none.

    Args:
        files: Licences, notices and policies of a model.
    """
    found = {_licence_of(path) for path in files if _NAMES.fullmatch(path.name)}
    return found.pop() if len(found) == 1 else ""


def _licence_of(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            start = " ".join(file.read(4 * _TITLE).split())[:_TITLE]
    except OSError:
        return ""
    return next((name for pattern, name in _TITLES if pattern.search(start)), "")
