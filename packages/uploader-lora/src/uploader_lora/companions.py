"""The files next to the weights that belong to a release: an allow-list, by name and role.

A trainer's folder also holds optimizer states, pickles, logs and data samples. What is not named
here is never copied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from uploader_core.plugin import SourceError, leads_out
from uploader_lora.modules import FOLDER, MODULES, fitting_modules

_ROLES: tuple[tuple[str, str], ...] = (
    (
        r"(tokenizer|vocab|added_tokens|special_tokens_map|tokenizer_config|normalizer|tekken)"
        r"\.json",
        "tokenizer",
    ),
    (r"(tokenizer|spiece|sentencepiece\.bpe|tokenization)\.model(\.v\d+)?", "tokenizer"),
    (r"(vocab|merges|bpe\.codes)(\.txt)?", "tokenizer"),
    (r"[\w.-]+\.tiktoken", "tokenizer"),
    (r"chat_template\.(jinja|json)", "template"),
    (r"additional_chat_templates/[\w.-]+\.jinja", "template"),
    (r"(preprocessor|processor|video_preprocessor|image_processor|feature_extractor)_config\.json",
     "config"),
    (r"generation_config\.json", "config"),
    (r"modules\.json|config_sentence_transformers\.json|sentence_\w+_config\.json", "config"),
    (rf"(?:{FOLDER.pattern})/[\w.-]+\.(?:json|txt)", "config"),
    (rf"(?:{FOLDER.pattern})/[\w.-]+\.safetensors", "weights"),
    (r"(LICEN[CS]E|NOTICE|COPYING|USE_POLICY)([-._]?[\w.-]+)?", "licence"),
)  # fmt: skip
_COMPILED = tuple((re.compile(pattern, re.ASCII), role) for pattern, role in _ROLES)
_NEVER = re.compile(r".+\.(py|pyc|so|dll|exe|sh|bin|pt|pth|pkl|pickle|ckpt)", re.ASCII | re.I)


def companion_role(name: str) -> str | None:
    """Return the role of a file by its name below the model's folder; None when not allowed."""
    if _NEVER.fullmatch(name):
        return None
    return next((role for pattern, role in _COMPILED if pattern.fullmatch(name)), None)


def companion_files(folder: Path) -> Mapping[str, Path]:
    """Return tokenizer, template, processor, generation, module and licence files of a folder.

    Args:
        folder: An adapter, a model or a snapshot in the cache of the Hugging Face Hub.

    Returns:
        Paths by name below the folder, sorted.

    Raises:
        SourceError: One of them is a symbolic link out of the folder.
    """
    found = [p for p in folder.iterdir() if p.is_file()]
    for inside in folder.iterdir():
        if inside.name == "additional_chat_templates" or FOLDER.fullmatch(inside.name):
            found += [p for p in inside.glob("*") if p.is_file()]
    names = {p.relative_to(folder).as_posix(): p for p in found}
    allowed = {name: names[name] for name in sorted(names) if companion_role(name)}
    for path in allowed.values():
        check_inside(folder, path)
    return fitting_modules(allowed) if MODULES in allowed else allowed


def check_inside(folder: Path, path: Path) -> None:
    """Refuse a symbolic link that leads out of a folder, so that nothing foreign is published.

    Raises:
        SourceError: The file lies elsewhere.
    """
    if leads_out(folder, path):
        real = path.resolve()
        raise SourceError(
            f"{path.name} is a link to {real}, outside the folder, and would be published",
            owner=str(path),
            safe="nothing was written",
            next=f"put a copy in its place: cp --remove-destination {real} {path}",
        )
