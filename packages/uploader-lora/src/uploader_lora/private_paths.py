"""Paths of the machine that a model was trained on: kept out of what is published.

transformers writes where a model was loaded from into ``config.json`` (``_name_or_path``), and some
of its versions write the same and the places of single files into ``tokenizer_config.json``. No
reader needs them, and a home folder names its owner and the project.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import from_home
from uploader_lora.stored import read_json
from uploader_lora.templates import settled

_KEYS = {
    "_name_or_path",
    "name_or_path",
    "tokenizer_name_or_path",
    "processor_name_or_path",
    "special_tokens_map_file",
    "tokenizer_file",
    "vocab_file",
    "merges_file",
}
_FILES = {"tokenizer_config.json", "processor_config.json", "preprocessor_config.json"}


def is_local_path(name: str) -> bool:
    """Tell a path from a public name (``user/model``)."""
    return (
        name.startswith((".", "/", "~", "\\"))
        or name[1:3] in (":\\", ":/")
        or name.count("/") > 1
        or "\\" in name
        or from_home(name, typed=False).exists()
    )


def without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without the keys that hold a path of this machine."""
    return {
        key: without_paths(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if not (key in _KEYS and isinstance(value, str) and value and is_local_path(value))
    }


def published_texts(files: Mapping[str, Path]) -> dict[str, str]:
    """Return new contents of the files that are not published as they are.

    Args:
        files: Companion files by name.

    Returns:
        Texts by name: other chat templates than the one that is taken, and paths, are out.
    """
    texts = settled(files)
    for name in _FILES & files.keys():
        data = json.loads(texts[name]) if name in texts else read_json(files[name])
        public = without_paths(data)
        if public != data:
            texts[name] = json.dumps(public, indent=2, ensure_ascii=False) + "\n"
    return texts
