"""Tokenizer, template, processor and licence files of a merged model, and where each comes from.

The fine-tune's own files go first, byte for byte: they are what it was trained with. What it does
not have is taken from the base, unless that would say something else than the fine-tune's files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import (
    OutputFolder,
    has_processor,
    processor_templates,
    tokenizer_templates,
)
from uploader_lora import read_json, read_tokenizer
from uploader_lora.companions import companion_files, companion_role
from uploader_lora.modules import fitting_modules
from uploader_lora.private_paths import published_texts
from uploader_lora.templates import JINJA, PROCESSOR, with_template

# Read by transformers where tokenizer_config.json does not say the same already.
_LEGACY_MAPS = {"special_tokens_map.json", "added_tokens.json"}


@dataclass(frozen=True, kw_only=True, slots=True)
class CompanionFile:
    """A file next to the weights.

    Attributes:
        name: Name below the model's folder.
        path: Where it comes from.
        role: For the manifest.
        origin: ``fine-tune`` or ``base``.
        text: What it has to say instead, so that it does not contradict the other files; None for
            a copy.
    """

    name: str
    path: Path
    role: str
    origin: str
    text: str | None = None

    @property
    def is_named_so(self) -> bool:
        """Whether the file that it comes from has its name, and so holds what the name says."""
        return self.path.name == self.name.rpartition("/")[2]

    @property
    def nbytes(self) -> int:
        """Size of the file that is written."""
        return self.path.stat().st_size if self.text is None else len(self.text.encode())

    def put(self, output: OutputFolder) -> None:
        """Write it into an artifact."""
        if self.text is None:
            output.copy(self.path, self.name, role=self.role)
        else:
            output.write(self.name, self.text, role=self.role)


def collect(base: Path, adapters: Sequence[Path]) -> tuple[CompanionFile, ...]:
    """Return the files of a merged model, sorted by name.

    Args:
        base: Folder of the base model.
        adapters: Folders of the adapters; the last one has the last word.

    Raises:
        SourceError: One of them is a link out of its folder, or is not what its name says.
    """
    files: dict[str, tuple[Path, str]] = {}
    for folder in (*reversed(adapters), base):
        theirs = companion_files(folder)
        origin = "base" if folder == base else "fine-tune"
        ours = {name: path for name, (path, _) in files.items()}
        fitting = _missing(ours, theirs) if files or (origin == "base" and adapters) else theirs
        files |= {name: (path, origin) for name, path in dict(fitting).items()}
    # A module's folder counts only where the modules.json that was taken names it.
    named = fitting_modules({name: path for name, (path, _) in files.items()})
    files = {name: files[name] for name in named}
    texts = published_texts({name: path for name, (path, _) in files.items()})
    if adapters:
        texts |= _for_processor(files)
        if JINJA in texts:
            files.setdefault(JINJA, files["tokenizer_config.json"])
    return tuple(
        CompanionFile(
            name=name,
            path=path,
            role=companion_role(name) or "other",
            origin=origin,
            text=texts.get(name),
        )
        for name, (path, origin) in sorted(files.items())
    )


def _for_processor(files: Mapping[str, tuple[Path, str]]) -> dict[str, str]:
    """Return texts that make the base's processor take the fine-tune's template."""
    paths = {name: path for name, (path, _) in files.items()}
    taken = tokenizer_templates(
        {name: path for name, (path, origin) in files.items() if origin == "fine-tune"}
    )
    if not taken or not has_processor(paths):
        return {}
    theirs = processor_templates(paths)
    if not theirs and taken.default is not None:
        return {JINJA: taken.default}
    if theirs != taken and PROCESSOR in files and files[PROCESSOR][1] == "base":
        return {PROCESSOR: with_template(paths[PROCESSOR], taken)}
    return {}


def _missing(ours: Mapping[str, Path], theirs: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """Yield the base's files that complete the fine-tune's without contradicting them."""
    has_config = "tokenizer_config.json" in ours
    has_template = any(companion_role(name) == "template" for name in ours) or (
        has_config and bool(read_json(ours["tokenizer_config.json"]).get("chat_template"))
    )
    same = True
    if "tokenizer.json" in ours and "tokenizer.json" in theirs:
        same = _vocabulary(ours["tokenizer.json"]) == _vocabulary(theirs["tokenizer.json"])
    for name, path in theirs.items():
        role = companion_role(name)
        if (
            name in ours
            or (name in _LEGACY_MAPS and has_config)
            or (role == "template" and has_template)
            or (role == "tokenizer" and not same)
        ):
            continue
        yield name, path


def _vocabulary(tokenizer: Path) -> tuple[Any, Any]:
    model = read_tokenizer(tokenizer).get("model")
    if not isinstance(model, dict):
        return None, None
    # Saved as "a b" or as ["a", "b"] by different versions of tokenizers.
    merges = [" ".join(m) if isinstance(m, list) else m for m in model.get("merges") or []]
    return model.get("vocab"), merges
