"""Where generation stops: the end token of the tokenizer, and the ids that the configurations name.

``generate`` of transformers stops at ``eos_token_id`` of ``generation_config.json``, or of
``config.json`` where there is no such file, and never asks the tokenizer. A fine-tune that ends its
turns with another token than its base is saved with a tokenizer that says so, and the
``generation_config.json`` of a merged model is the base's
(https://github.com/hiyouga/LLaMA-Factory/issues/7454). So the tokenizer's end is put in front of
the others, as transformers' Trainer does it before a training (``align_special_tokens``,
transformers 5.24), and none is taken away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import tokenizer_templates
from uploader_lora import read_json
from uploader_lora.companions import companion_files, companion_role
from uploader_lora.tokens import TokenIds, read_token_ids

GENERATION = "generation_config.json"
MAX_GENERATION = 1 << 20
"""Bytes; it has some dozens of settings."""
EOS = "eos_token_id"
_GENERATES = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
# What the templates of well-known models end a turn with.
_TURN_ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|eot|>", "<end_of_turn>", "<turn|>", "<|end|>"),
    *("<|end_of_turn|>", "<|endofturn|>", "<|END_OF_TURN_TOKEN|>", "<|end_of_role|>"),
)
_IDS = (
    *("bos_token_id", EOS, "pad_token_id", "decoder_start_token_id", "forced_bos_token_id"),
    *("forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stops:
    """Where a model stops.

    Attributes:
        file: Which file ``generate`` reads the ids of.
        said: Ids that it names.
        ids: Ids that it has to name.
        end: Text of the tokenizer's end token.
    """

    file: str
    said: tuple[int, ...]
    ids: tuple[int, ...]
    end: str

    @property
    def changed(self) -> bool:
        """Whether the file has to say something else."""
        return self.said != self.ids


def find_stops(
    files: Mapping[str, Path], config: Mapping[str, Any], rows: int | None, base: Path | None
) -> Stops | None:
    """Compare the tokenizer's end with the ids in the configurations.

    Args:
        files: Small files of the model by name.
        config: Its ``config.json``.
        rows: Of its input embedding; None when unknown.
        base: Folder of the base model, where ``generation_config.json`` or ``config.json`` are its
            own and the tokenizer may be another one.

    Returns:
        None where a model does not generate, or nothing says where it ends.
    """
    tokens = read_token_ids(files)
    end = None if tokens is None else tokens.named.get("eos_token")
    number = None if tokens is None or end is None else tokens.ids.get(end)
    if tokens is None or end is None or number is None or (rows is not None and number >= rows):
        return None
    holder: Mapping[str, Any]
    if GENERATION in files:
        file, holder = GENERATION, read_json(files[GENERATION], MAX_GENERATION)
    elif any(str(name).endswith(_GENERATES) for name in config.get("architectures") or ()):
        file, holder = "config.json", _holder(config)
        if EOS not in holder:
            return None  # a default of the class that is not known here
    else:
        return None
    said = tuple(_numbers(holder.get(EOS)))
    kept = said if base is None else tuple(_moved(said, tokens, base))
    ids = kept if number in kept else (number, *kept)
    return Stops(file=file, said=said, ids=ids, end=end)


def with_stops(data: Mapping[str, Any], stops: Stops) -> dict[str, Any]:
    """Return a configuration that stops where it has to.

    Args:
        data: ``generation_config.json``, or ``config.json`` where there is none.
        stops: From :func:`find_stops`.
    """
    value: int | list[int] = list(stops.ids) if len(stops.ids) > 1 else stops.ids[0]
    if _holder(data) is data or stops.file == GENERATION:
        return {**data, EOS: value}
    return {**data, "text_config": {**data["text_config"], EOS: value}}


def generation_text(file: Path, stops: Stops) -> str:
    """Return ``generation_config.json`` with the ends in it."""
    return json.dumps(with_stops(read_json(file), stops), indent=2, ensure_ascii=False) + "\n"


def silent_end(files: Mapping[str, Path], stops: Stops) -> str | None:
    """Return the token that a template ends turns with where ``generate`` does not stop at it.

    None as well where the template writes one of the ends, or is of a kind that is not known.
    """
    tokens, template = read_token_ids(files), tokenizer_templates(files).default
    if tokens is None or template is None or "eos_token" in template:
        return None
    ends = {text for text, number in tokens.ids.items() if number in stops.ids}
    if any(text in template for text in ends):
        return None
    return next((t for t in _TURN_ENDS if t in template and t in tokens.ids), None)


def out_of_range(parts: Mapping[str, Mapping[str, Any]], rows: int) -> Iterator[str]:
    """Yield what names a token that the vocabulary does not have.

    Args:
        parts: Configurations by what a person knows them as.
        rows: Of the input embedding.
    """
    for name, data in parts.items():
        for key in _IDS:
            wrong = [number for number in _numbers(data.get(key)) if number >= rows]
            if wrong:
                yield f"{key} {wrong[0]} of {name}"


def _holder(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of ``config.json`` that names the ends: the outer one, else that of text."""
    text = config.get("text_config")
    return text if EOS not in config and isinstance(text, dict) else config


def _numbers(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [number for number in values if type(number) is int]


def _moved(said: tuple[int, ...], tokens: TokenIds, base: Path) -> Iterator[int]:
    """Yield the base's ends as the fine-tune's tokenizer numbers them.

    Where a vocabulary was replaced, the number of an end is that of any word.
    """
    files = {name: path for name, path in companion_files(base).items() if _is_tokenizer(name)}
    theirs = read_token_ids(files)
    before = {} if theirs is None else {number: text for text, number in theirs.ids.items()}
    now = {number: text for text, number in tokens.ids.items()} if before else {}
    for number in said:
        text = before.get(number)
        if text is None or text == now.get(number):
            yield number
        elif text in tokens.ids:
            yield tokens.ids[text]


def _is_tokenizer(name: str) -> bool:
    return companion_role(name) == "tokenizer"
