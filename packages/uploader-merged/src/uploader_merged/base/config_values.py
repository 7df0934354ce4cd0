"""What ``config.json`` may say: values of other types and of impossible sizes are refused.

Everybody who reads a configuration takes its numbers for numbers, and transformers makes lists of
as many entries as there are layers. Keys that are not named here may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uploader_core.plugin import Finding, SourceError

_DEEPEST = 16
_MOST_LAYERS, _MOST_UNITS = 100_000, 1 << 31  # Doge has 16,384 experts
_LAYERS = re.compile(r"(?:num|n)_(?:\w*_)?(?:layers?|blocks|experts)")
_UNITS = re.compile(
    r"vocab_size|(?:\w+_)?hidden_size|intermediate_size|d_model|n_embd|head_dim"
    r"|num_(?:attention|key_value)_heads|n_head"
)
_TYPES: Mapping[str, type] = {
    "architectures": list,
    "auto_map": dict,
    "id2label": dict,
    "model_type": str,
    "quantization_config": dict,
    "rope_scaling": dict,
    "tie_word_embeddings": bool,
}
_WORDS: Mapping[type, str] = {bool: "true or false", dict: "a table", list: "a list", str: "a text"}
# ``attn_implementation`` as well as ``_attn_implementation_internal``; a name with a slash is a
# repository of the Hub, whose code some versions of transformers fetched and ran while loading
# (CVE-2026-4372).
_KERNELS = re.compile(r"_?\w+_implementation(?:_internal)?")
_RUNS_CODE = ("trust_remote_code", "custom_pipelines", "custom_generate")


def check_values(file: Path, config: Mapping[str, Any]) -> None:
    """Refuse a configuration that nobody could have saved.

    Args:
        file: Where it is from.
        config: Its content.

    Raises:
        SourceError: A value has another type than it always has, or an impossible size; or it
            names code of another repository that runs when the model is loaded.
    """
    for key, value in _members(file, config, 0):
        expected = _TYPES.get(key)
        if value is None:
            continue
        if expected is not None and type(value) is not expected:
            _refuse(file, f"{key} is {_shown(value)}, which is not {_WORDS[expected]}")
        if key == "architectures" and not all(isinstance(name, str) for name in value):
            _refuse(file, f"{key} is {_shown(value)}, which are no names of classes")
        most = _MOST_LAYERS if _LAYERS.fullmatch(key) else _MOST_UNITS
        if _LAYERS.fullmatch(key) or _UNITS.fullmatch(key):
            for number in _numbers(value):
                if type(number) is not int or not 0 <= number <= most:
                    _refuse(file, f"{key} is {_shown(value)}, which no model has")
        if type(value) is int and abs(value) >= 1 << 128:
            _refuse(file, f"{key} is a number of {len(str(value))} digits")
        if _KERNELS.fullmatch(key) and isinstance(value, str) and "/" in value:
            raise SourceError(
                f"{file.name} names code of another repository, which programs fetch and run when "
                f"they load the model: {key} is {_shown(value)}",
                owner=str(file),
                safe="nothing was written, and it was not fetched",
                next=f"take {key} out of {file.name}; who wants that kernel names it when loading",
            )


def code_findings(holders: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Warn of keys that make a program run code of others when it is told to trust the model.

    Args:
        holders: Configurations by the names of their files.
    """
    for name, config in holders.items():
        named = [key for key in _RUNS_CODE if config.get(key)]
        if named:
            yield Finding(
                level="warning",
                what=f"{name} says {', '.join(named)}: who loads the release with "
                "trust_remote_code=True runs what that names",
                next=f"take {named[0]} out of {name} where the model does not need it",
            )


def _members(file: Path, table: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _DEEPEST:
        _refuse(file, f"it is nested more than {_DEEPEST} deep")
    for key, value in table.items():
        yield key, value
        if isinstance(value, dict):
            yield from _members(file, value, depth + 1)


def _numbers(value: Any) -> list[Any]:
    """Return the numbers of one part, or of several: LXMERT counts the layers of each by name."""
    if isinstance(value, dict):
        return [*value.values()]
    return value if isinstance(value, list) else [value]


def _shown(value: object) -> str:
    return repr(value)[:60]


def _refuse(file: Path, why: str) -> None:
    raise SourceError(
        f"{file.name} cannot be used: {why}",
        owner=str(file),
        safe="nothing was written",
        next=f"take the {file.name} that was saved with the weights",
    )
