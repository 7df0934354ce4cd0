"""Chat templates: which one transformers takes when several files of a folder hold one.

Tokenizers take ``chat_template.jinja`` and ``additional_chat_templates/NAME.jinja`` together; only
when there is none of them ``chat_template`` of ``tokenizer_config.json``
(``PreTrainedTokenizerBase._from_pretrained`` of transformers 5.24). They never read
``chat_template.json``. Processors take ``chat_template`` of ``processor_config.json``, else
``chat_template.json``, else the files that end with ``.jinja``, and never ``tokenizer_config.json``
(``ProcessorMixin.get_processor_dict``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.errors import SourceError
from uploader_core.untrusted_json import expect, parse_json, read_text

JINJA = "chat_template.jinja"
LEGACY = "chat_template.json"
PROCESSOR = "processor_config.json"
TOKENIZER = "tokenizer_config.json"
_FOLDER = "additional_chat_templates/"
# Each of them makes AutoProcessor build a processor and not only a tokenizer.
_PROCESSORS = (PROCESSOR, "preprocessor_config.json")
_LARGEST = 64 << 20
"""Bytes of the largest file that is read; a tokenizer's configuration may list its vocabulary."""


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

    @classmethod
    def from_json(cls, value: Any) -> ChatTemplates:
        """Read ``chat_template``: one text, or a list of texts with names, or an object of them."""
        if isinstance(value, str):
            return cls(default=value)
        pairs: list[tuple[Any, Any]] = []
        if isinstance(value, dict):
            pairs = list(value.items())
        elif isinstance(value, list):
            pairs = [(v.get("name"), v.get("template")) for v in value if isinstance(v, dict)]
        named = {n: text for n, text in pairs if isinstance(n, str) and isinstance(text, str)}
        return cls(default=named.pop("default", None), named=named)


def tokenizer_templates(files: Mapping[str, Path]) -> ChatTemplates:
    """Return what AutoTokenizer takes.

    Args:
        files: The folder's files by their names.

    Raises:
        SourceError: A file is not what its name says.
    """
    found = _jinja(files)
    return found or ChatTemplates.from_json(_read(files, TOKENIZER).get("chat_template"))


def has_processor(files: Mapping[str, Path]) -> bool:
    """Return whether a model takes images or sound through a processor."""
    return any(name in files for name in _PROCESSORS)


def processor_templates(files: Mapping[str, Path]) -> ChatTemplates:
    """Return what AutoProcessor takes; nothing for a model without a processor."""
    if not has_processor(files):
        return ChatTemplates()
    return (
        ChatTemplates.from_json(_read(files, PROCESSOR).get("chat_template"))
        or ChatTemplates.from_json(_read(files, LEGACY).get("chat_template"))
        or _jinja(files)
    )


def _jinja(files: Mapping[str, Path]) -> ChatTemplates:
    named = {
        name.removeprefix(_FOLDER).removesuffix(".jinja"): _text(path)
        for name, path in files.items()
        if name.startswith(_FOLDER) and name.endswith(".jinja")
    }
    if JINJA in files:
        named.setdefault("default", _text(files[JINJA]))
    return ChatTemplates(default=named.pop("default", None), named=named)


def _read(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    if name not in files:
        return {}
    try:
        data: dict[str, Any] = expect(parse_json(_text(files[name])), dict)
        return data
    except ValueError as error:
        raise _unreadable(files[name], error) from error


def _text(path: Path) -> str:
    try:
        return read_text(path, most=_LARGEST)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _unreadable(path, reason) from error


def _unreadable(path: Path, reason: object) -> SourceError:
    return SourceError(
        f"{path.name} cannot be read: {reason}",
        owner=str(path),
        safe="nothing was written",
        next=f"download or save {path.name} again",
    )
