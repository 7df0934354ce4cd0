"""What goes beside the weights: stops, parameters, texts, and what Ollama has to be.

``generation_config.json`` is taken as ``generate`` of transformers takes it. Temperature and the
like count only where it says ``do_sample``; without that the model samples by Ollama's own
defaults. A penalty for repetition counts always, and over the whole context, so ``repeat_last_n``
is -1 with it: Ollama's own 64 tokens are another penalty. ``num_ctx`` is left to Ollama, which
chooses it by the memory of the machine that the model runs on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.plugin import UsageError

OLDEST = "0.30.0"
"""The first Ollama that renders the chat template of a GGUF (#16031)."""

_SAMPLING = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "typical_p": "typical_p",
}
_WHOLE = ("num_ctx", "num_predict", "num_keep", "repeat_last_n", "seed", "top_k", "num_batch",
          "num_gpu", "main_gpu", "num_thread")  # fmt: skip
_FRACTIONS = ("temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty",
              "frequency_penalty")  # fmt: skip
_SWITCHES = ("use_mmap",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What a Modelfile says besides FROM.

    Attributes:
        parameters: As ``/api/create`` takes them; ``stop`` is a list.
        system: System prompt; "" for none.
        template: A Go template of the user's own; "" for none, so that the file's own counts.
        licences: Texts.
        requires: Oldest Ollama; "" where any will do.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    system: str = ""
    template: str = ""
    licences: tuple[str, ...] = ()
    requires: str = ""


def make_recipe(
    ends: Iterable[str],
    generation: Mapping[str, Any],
    settings: Any,
    licences: Iterable[str] = (),
) -> Recipe:
    """Put together what a model needs.

    Args:
        ends: Texts of all tokens that end a turn.
        generation: ``generation_config.json``.
        settings: Of the document or the upload.
        licences: Texts.

    Raises:
        UsageError: A parameter that Ollama does not know, or a template that is no text.
    """
    stops = list(dict.fromkeys(end for end in ends if end))
    parameters = {**({"stop": stops} if stops else {}), **sampling(generation)}
    template = "" if settings.template is None else _text_of(settings.template)
    return Recipe(
        parameters={**parameters, **chosen(settings.parameters)},
        system=settings.system,
        template=template,
        licences=tuple(licences),
        # A Go template is rendered by every version.
        requires="" if template else OLDEST,
    )


def sampling(generation: Mapping[str, Any]) -> dict[str, Any]:
    """Return Ollama's parameters for a ``generation_config.json``."""
    found: dict[str, Any] = {}
    if generation.get("do_sample") is True:
        for key, name in _SAMPLING.items():
            value = generation.get(key)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[name] = value
    penalty = generation.get("repetition_penalty")
    if isinstance(penalty, (int, float)) and penalty != 1:
        found |= {"repeat_penalty": penalty, "repeat_last_n": -1}
    return found


def chosen(options: Iterable[str]) -> dict[str, Any]:
    """Read ``NAME=VALUE``; several ``stop`` are one list.

    Raises:
        UsageError: Not of that form, or no parameter of Ollama's.
    """
    found: dict[str, Any] = {}
    for option in options:
        name, equals, text = option.partition("=")
        known = (*_WHOLE, *_FRACTIONS, *_SWITCHES, "stop")
        if not equals or name not in known:
            raise _wrong(option, f"the parameters are {', '.join(sorted(known))}")
        if name == "stop":
            found.setdefault("stop", []).append(text)
            continue
        try:
            found[name] = _value(name, text)
        except ValueError as error:
            raise _wrong(option, f"{text!r} is no value of {name}") from error
    return found


def _value(name: str, text: str) -> int | float | bool:
    if name in _WHOLE:
        return int(text)
    if name in _FRACTIONS:
        return float(text)
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def params_json(recipe: Recipe) -> str:
    """Return the content of ``params``, which the Hub hands to Ollama."""
    return json.dumps(recipe.parameters, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read as a Go template: {error}",
            owner="option --ollama-template",
            next="name a text file, or leave the option out: the GGUF has its own template",
        ) from error


def _wrong(option: str, why: str) -> UsageError:
    return UsageError(
        f"--ollama-parameters {option!r}: {why}",
        owner="option --ollama-parameters",
        next="for example --ollama-parameters num_ctx=8192,temperature=0.6",
    )
