"""Settle the chat template of GGUF files: compare, rewrite what may be, say or refuse the rest."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import importlib_metadata

from uploader_core.plugin import ChatTemplates, UploaderError, tokenizer_templates
from uploader_gguf.chat_template import transformers_js
from uploader_gguf.chat_template.compare import (
    Case,
    Comparison,
    Outcome,
    cases,
    same_prompts,
    with_form,
)
from uploader_gguf.chat_template.judge import judge, notes_of, refuse_start
from uploader_gguf.chat_template.notes import QUIET, Note
from uploader_gguf.chat_template.ollama_families import family_of, kept_apart
from uploader_gguf.chat_template.probes import PROBES
from uploader_gguf.chat_template.reference import Reference, load
from uploader_gguf.chat_template.rewrites import BY_NAME, LINE_ENDS, REWRITES, Rewrite
from uploader_gguf.chat_template.server import NoStartError, Server
from uploader_gguf.chat_template.stub import TOKENS, token_text
from uploader_gguf.format.gguf_file import string
from uploader_gguf.llama_cpp import library
from uploader_gguf.llama_cpp.converter_folder import ConverterFolder
from uploader_merged.rendering import limited_templates

TEMPLATE = "tokenizer.chat_template"
REWRITTEN = "uploader.chat_template.rewritten"
"""Key of a GGUF whose template is not the one of the tokenizer's files: what was done to it."""

_ADD_BOS, _ADD_EOS = "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token"
_NAMED = {part: f"tokenizer.ggml.{part}_token_id" for part in ("bos", "eos")}
_BOOL, _STRING, _ARRAY = 7, 8, 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """What the files say of their chat template.

    Attributes:
        keys: Packed values that replace those of the converter.
        record: For the artifact's metadata; None where nothing was compared.
    """

    keys: Mapping[str, bytes] = field(default_factory=dict)
    record: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trial:
    """A template on both engines; no outcomes when llama.cpp's server does not start."""

    reference: Reference
    keys: Mapping[str, bytes]
    outcomes: tuple[Outcome, ...] = ()
    no_start: str | None = None

    @property
    def wrong(self) -> int:
        """How many cases are wrong; more than there can be when nothing is rendered."""
        return sum(one.wrong for one in self.outcomes) if self.no_start is None else 1 << 16


def settle(
    keys: Mapping[str, bytes],
    folder: ConverterFolder,
    work: Path,
    log: logging.Logger,
    *,
    rewrite: bool = True,
) -> Settled:
    """Compare llama.cpp's prompts with those of the fine-tune's own tokenizer.

    Args:
        keys: Packed values of the files, by key.
        folder: With the tokenizer and the template that the release ships.
        work: Folder for a file of a few kilobytes, made when it is not there.
        log: Told what was rewritten, and what stays otherwise.
        rewrite: False for files that are written already.

    Raises:
        RefusedError: llama.cpp's server does not start with the template, loses what somebody
            said, begins or ends a prompt with other tokens, or writes plain text otherwise for a
            cause that is not known.
    """
    files = {path.name: path for path in folder.path.iterdir()}
    templates = tokenizer_templates(files)
    # Models that embed texts have templates of the models that they were made from.
    chats = folder.pooling is None and templates.default is not None
    if not chats or not {TEMPLATE, TOKENS} <= keys.keys():
        return Settled()
    with limited_templates():
        return _settle(keys, folder, work, log, templates, rewrite=rewrite)


def _settle(
    keys: Mapping[str, bytes],
    folder: ConverterFolder,
    work: Path,
    log: logging.Logger,
    templates: ChatTemplates,
    *,
    rewrite: bool,
) -> Settled:
    try:
        reference = with_form(load(folder.path, templates))
    except UploaderError:
        raise
    except Exception as error:  # whatever a tokenizer of its own kind raises
        log.warning(
            "prompts were not compared: transformers does not load the tokenizer: %s", error
        )
        _start_only(keys, work)
        return Settled()
    with Server(work) as server:
        settling = _Settling(server=server, folder=folder, asked=cases(reference))
        trial, done = settling.run(reference, keys, rewrite=rewrite)
    if trial.no_start is not None:
        refuse_start(trial.no_start)
    judge(trial.outcomes)
    notes = notes_of(trial.reference, trial.outcomes)
    third = transformers_js.compare(trial.reference, trial.outcomes)
    notes += [third] if third else []
    _say(log, notes, done)
    changed = {key: value for key, value in trial.keys.items() if keys.get(key) != value}
    return Settled(
        keys={**changed, REWRITTEN: _packed_list(done)} if changed else {},
        record={
            "engine": library.version(),
            "reference": f"transformers {importlib_metadata.version('transformers')}",
            "conversations": len(PROBES),
            "rewritten": done,
            "notes": [one.to_json() for one in notes],
        },
    )


def _start_only(keys: Mapping[str, bytes], work: Path) -> None:
    with Server(work) as server:
        try:
            server.ask(keys, [])
        except NoStartError as error:
            refuse_start(str(error))


@dataclass(kw_only=True, slots=True)
class _Settling:
    """Tries templates.

    Attributes:
        server: llama.cpp's.
        folder: With the tokenizer.
        asked: What is rendered.
    """

    server: Server
    folder: ConverterFolder
    asked: list[Case]

    def run(
        self, original: Reference, keys: Mapping[str, bytes], *, rewrite: bool
    ) -> tuple[_Trial, list[str]]:
        """Return the trial of what goes into the files, and the names of what was done to it."""
        if not rewrite:
            return self._try(original, original, keys), _unpacked_list(keys.get(REWRITTEN))
        done = []
        plain = self._rewritten(original, original, LINE_ENDS)
        if plain is not original:
            done.append(LINE_ENDS.name)
        if _is_true(keys.get(_ADD_EOS)):
            keys = {**keys, _ADD_EOS: _packed_bool(False)}
            done.append("add-eos")
        trial = self._try(original, _kept_apart(plain), keys)
        if trial.wrong:
            used = self._healing(original, plain, keys, trial)
            done += [rewrite.name for rewrite in used]
            plain = self._all(original, plain, used)
            trial = self._try(original, _kept_apart(plain), keys)
        if trial.reference.templates != plain.templates:
            done.append("ollama-family")
        if any(one.bos[0] != one.bos[1] for one in trial.outcomes):
            without = self._try(original, trial.reference, {**keys, _ADD_BOS: _packed_bool(False)})
            same = all(one.bos[0] == one.bos[1] for one in without.outcomes)
            if same and without.wrong <= trial.wrong:
                trial = without
                done.append("add-bos")
        return trial, done

    def _healing(
        self, original: Reference, plain: Reference, keys: Mapping[str, bytes], bad: _Trial
    ) -> list[Rewrite]:
        """Return the rewrites without any of which llama.cpp would be wrong more often."""
        used = [one for one in REWRITES if self._rewritten(original, plain, one) is not plain]
        best = (
            self._try(original, self._all(original, plain, used), keys).wrong if used else bad.wrong
        )
        if best >= bad.wrong:
            return []
        for one in tuple(used):
            fewer = [other for other in used if other is not one]
            if self._try(original, self._all(original, plain, fewer), keys).wrong <= best:
                used = fewer
        return used

    def _all(self, original: Reference, plain: Reference, used: list[Rewrite]) -> Reference:
        for one in used:
            plain = self._rewritten(original, plain, one)
        return plain

    def _rewritten(self, original: Reference, current: Reference, rewrite: Rewrite) -> Reference:
        """Return the templates with a rewrite; the same when it changes transformers' prompts."""
        changed = replace(current, templates=_each(current.templates, rewrite.apply))
        if changed.templates == current.templates:
            return current
        return changed if same_prompts(original, changed, self.asked) else current

    def _try(self, original: Reference, changed: Reference, keys: Mapping[str, bytes]) -> _Trial:
        keys = {**keys, **_packed_templates(changed.templates)} if changed is not original else keys
        try:
            answers = self.server.ask(keys, [case.body() for case in self.asked])
        except NoStartError as error:
            return _Trial(reference=changed, keys=keys, no_start=str(error))
        ids = {part: _number(keys.get(key)) for part, key in _NAMED.items()}
        begin = "" if ids["bos"] is None else token_text(keys, ids["bos"])
        comparison = Comparison(own=self.folder.own, bos=ids["bos"], begin=begin, eos=ids["eos"])
        # Against the original: what was rewritten has to give the prompts of training.
        outcomes = [
            comparison.of(original, case, answer)
            for case, answer in zip(self.asked, answers, strict=True)
        ]
        return _Trial(reference=changed, keys=keys, outcomes=tuple(outcomes))


def _each(templates: ChatTemplates, change: Callable[[str], str]) -> ChatTemplates:
    return ChatTemplates(
        default=None if templates.default is None else change(templates.default),
        named={name: change(text) for name, text in templates.named.items()},
    )


def _kept_apart(reference: Reference) -> Reference:
    """Return templates that Ollama takes as they are; the same where it does so anyway."""
    default = reference.templates.default or ""
    if family_of(default) is None:
        return reference
    try:
        templates = replace(reference.templates, default=kept_apart(default))
    except ValueError:  # no place for a comment
        return reference
    return replace(reference, templates=templates)


def _say(log: logging.Logger, notes: list[Note], done: list[str]) -> None:
    for name in done:
        log.info("chat template of the GGUF files: %s", BY_NAME[name])
    for one in notes:
        level = logging.INFO if one.kind in QUIET else logging.WARNING
        log.log(level, "chat template: %s (%s)", one.said, ", ".join(one.probes))


def _packed_templates(templates: ChatTemplates) -> dict[str, bytes]:
    every = {TEMPLATE: templates.default or ""}
    every |= {f"{TEMPLATE}.{name}": text for name, text in templates.named.items()}
    return {key: struct.pack("<I", _STRING) + string(text) for key, text in every.items()}


def _packed_bool(value: bool) -> bytes:
    return struct.pack("<I?", _BOOL, value)


def _packed_list(texts: list[str]) -> bytes:
    return struct.pack("<IIQ", _ARRAY, _STRING, len(texts)) + b"".join(map(string, texts))


def _unpacked_list(packed: bytes | None) -> list[str]:
    texts: list[str] = []
    at = struct.calcsize("<IIQ")
    while packed is not None and at < len(packed):
        size = int(struct.unpack_from("<Q", packed, at)[0])
        texts.append(packed[at + 8 : at + 8 + size].decode())
        at += 8 + size
    return texts


def _is_true(packed: bytes | None) -> bool:
    return packed is not None and packed == _packed_bool(True)


def _number(packed: bytes | None) -> int | None:
    return None if packed is None else int(struct.unpack_from("<I", packed, 4)[0])
