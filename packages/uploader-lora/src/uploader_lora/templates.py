"""Chat templates: which one transformers takes when several files of a folder hold one.

Tokenizers take ``chat_template.jinja`` and ``additional_chat_templates/NAME.jinja`` together; only
when there is none of them ``chat_template`` of ``tokenizer_config.json``
(``PreTrainedTokenizerBase._from_pretrained`` of transformers 5.24). They never read
``chat_template.json``. Processors take ``chat_template`` of ``processor_config.json``, else
``chat_template.json``, else the files that end with ``.jinja``, and never ``tokenizer_config.json``
(``ProcessorMixin.get_processor_dict``).

Other programs have orders of their own
(https://github.com/huggingface/swift-transformers/issues/204), so a release says the same in all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.plugin import Finding, SourceError
from uploader_lora.stored import read_json

JINJA = "chat_template.jinja"
LEGACY = "chat_template.json"
_FOLDER = "additional_chat_templates/"
PROCESSOR = "processor_config.json"
_CONFIG = "tokenizer_config.json"
# Each of them makes AutoProcessor build a processor and not only a tokenizer.
_PROCESSORS = (PROCESSOR, "preprocessor_config.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatTemplates:
    """The templates of a tokenizer or processor.

    Attributes:
        default: The one that is used unless another is asked for.
        named: Others by name (``tool_use``).
    """

    default: str | None = None
    named: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.default is not None or bool(self.named)

    def as_json(self) -> Any:
        """Return what ``chat_template`` of ``tokenizer_config.json`` says for them."""
        if not self.named:
            return self.default
        every = {"default": self.default, **dict(sorted(self.named.items()))}
        return [{"name": n, "template": text} for n, text in every.items() if text is not None]


def tokenizer_templates(files: Mapping[str, Path]) -> ChatTemplates:
    """Return what AutoTokenizer takes.

    Args:
        files: The folder's files by their names.

    Raises:
        SourceError: A file is not what its name says.
    """
    found = _jinja(files)
    return found or _from_json(_read(files, _CONFIG).get("chat_template"))


def has_processor(files: Mapping[str, Path]) -> bool:
    """Return whether a model takes images or sound through a processor."""
    return any(name in files for name in _PROCESSORS)


def processor_templates(files: Mapping[str, Path]) -> ChatTemplates:
    """Return what AutoProcessor takes; nothing for a model without a processor."""
    if not has_processor(files):
        return ChatTemplates()
    return (
        _from_json(_read(files, PROCESSOR).get("chat_template"))
        or _from_json(_read(files, LEGACY).get("chat_template"))
        or _jinja(files)
    )


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
    if config.get("chat_template") and _from_json(config["chat_template"]) != taken:
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
    if _from_json(_read(files, PROCESSOR).get("chat_template")):
        return PROCESSOR
    return LEGACY if LEGACY in files else JINJA


def with_template(file: Path, templates: ChatTemplates) -> str:
    """Return a JSON file's text with other templates in it."""
    return _dumped({**read_json(file), "chat_template": templates.as_json()})


def _jinja(files: Mapping[str, Path]) -> ChatTemplates:
    named = {
        name.removeprefix(_FOLDER).removesuffix(".jinja"): _text(path)
        for name, path in files.items()
        if name.startswith(_FOLDER) and name.endswith(".jinja")
    }
    if JINJA in files:
        named.setdefault("default", _text(files[JINJA]))
    return ChatTemplates(default=named.pop("default", None), named=named)


def _from_json(value: Any) -> ChatTemplates:
    """Read ``chat_template``: one text, or a list of texts with names, or an object of them."""
    if isinstance(value, str):
        return ChatTemplates(default=value)
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = [(v.get("name"), v.get("template")) for v in value if isinstance(v, dict)]
    named = {n: text for n, text in pairs if isinstance(n, str) and isinstance(text, str)}
    return ChatTemplates(default=named.pop("default", None), named=named)


def _read(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    return read_json(files[name]) if name in files else {}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path.name} cannot be read: {error}",
            owner=str(path),
            safe="nothing was written",
            next=f"save {path.name} again, as UTF-8",
        ) from error


def _dumped(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
