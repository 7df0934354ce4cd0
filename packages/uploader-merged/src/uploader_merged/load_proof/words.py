"""Say in words what does not fit between a configuration and files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from uploader_merged.load_proof.subject import Misfit, Stray, Subject

_SHOWN = 3
_COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")

_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(?P<number>\d+)\.(?P<part>\w+)")
_EXPERT = re.compile(r"(?P<before>.*\.experts\.)(?P<number>\d+)(?P<after>\..+)")
_NEW_HEADS = re.compile(r"(^|\.)(score|classifier|classification_head|qa_outputs|summary)\.")

HEADS = re.compile(r"(^|\.)(lm_head|embed_out|output|proj_out)\.(weight|bias)$")
"""Output heads of language models."""


def missing(names: Sequence[str], subject: Subject) -> str:
    """Say which parameters nothing fills, and what that comes to."""
    text = f"no tensor of the files fills {some(names)}, which loading would make random"
    why = _why_missing(names, subject)
    return f"{text} ({why})" if why else text


def dropped(strays: Sequence[Stray], subject: Subject) -> str:
    """Say which tensors the model has no place for."""
    names = [stray.name for stray in strays]
    text = f"the model has no place for {some(names)}, which loading would drop"
    places = {stray.place for stray in strays}
    wanted, found = layers(subject)
    if places == {"layer"} and wanted is not None:
        return f"{text} (config.json says {_count(wanted)}, and the files hold {found})"
    if places == {"parameter"} and all(name.endswith(".bias") for name in names):
        return f"{text} (config.json says that these layers have no biases)"
    return text


def misfits(found: Sequence[Misfit], subject: Subject) -> str:
    """Say which tensors have another shape than the configuration asks for."""
    parts = [
        f"what the files hold for {m.name} is not {_shape(m.wanted)}"
        if m.found is None
        else f"{m.name} is {_shape(m.found)} in the files and {_shape(m.wanted)} by config.json"
        for m in found[:_SHOWN]
    ]
    text = ", ".join(parts) + (f", and {len(found) - _SHOWN} more" if found[_SHOWN:] else "")
    rows = rows_instead(found, subject)
    if rows is not None:
        text += f" (vocab_size is {vocabulary(subject.config)}, and the matrix has {rows} rows)"
    return text


def failed(found: Sequence[tuple[str, str]], subject: Subject) -> str:
    """Say which fused parameters cannot be made, by the tensors that are not there."""
    name, why = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    layer = _LAYER.search(name)
    leaves = _experts(subject, None if layer is None else layer["number"])
    lacking = _lacking(leaves)
    if lacking:
        return f"no tensor of the files is {some(lacking)}, which {name}{more} needs"
    odd = _odd(leaves, subject)
    if odd:
        return (
            f"{some(odd)} {'has' if len(odd) == 1 else 'have'} not the shape of its siblings, "
            f"of which {name}{more} is made"
        )
    return f"{name}{more} cannot be put together from the files ({why[:200]})"


def mistyped(names: Sequence[str]) -> str:
    """Say that weights are stored as something else."""
    return (
        f"{some(names)} hold whole numbers or 8-bit values where the model has weights: they are "
        "quantised, and config.json does not say how"
    )


def rows_instead(found: Sequence[Misfit], subject: Subject) -> int | None:
    """Return the rows of the matrices of tokens where they are all that does not fit."""
    wanted = vocabulary(subject.config)
    rows = {
        m.found[0]
        for m in found
        if m.found and m.wanted and m.wanted[0] == wanted and m.found[1:] == m.wanted[1:]
    }
    return rows.pop() if len(rows) == 1 else None


def layers(subject: Subject) -> tuple[int | None, int]:
    """Return how many layers the configuration says, and how many the files hold."""
    numbers = {int(m["number"]) for name in subject.tensors if (m := _LAYER.search(name))}
    return number_of(subject.config, _COUNTS), max(numbers, default=-1) + 1


def layer_of(name: str) -> int | None:
    """Return the number of the layer that a tensor is in."""
    match = _LAYER.search(name)
    return None if match is None else int(match["number"])


def vocabulary(config: Mapping[str, Any]) -> int | None:
    """Return the size of the vocabulary by the configuration."""
    return number_of(config, ("vocab_size",))


def number_of(config: Mapping[str, Any], keys: Sequence[str]) -> int | None:
    """Return a number of the language model, or of the whole model."""
    for part in (config.get("text_config"), config):
        for key in keys:
            value = part.get(key) if isinstance(part, dict) else None
            if isinstance(value, int):
                return value
    return None


def some(names: Iterable[str]) -> str:
    """Name the first of several tensors, and say how many there are."""
    listed = sorted(names)
    text = ", ".join(listed[:_SHOWN])
    return text if len(listed) <= _SHOWN else f"{text} and {len(listed) - _SHOWN} more"


def _why_missing(names: Sequence[str], subject: Subject) -> str:
    parts: dict[int, set[str]] = {}
    for name in names:
        match = _LAYER.search(name)
        if match is not None:
            parts.setdefault(int(match["number"]), set()).add(match["part"])
    wanted, found = layers(subject)
    if wanted is not None and found and wanted > found and set(range(found, wanted)) <= set(parts):
        return f"config.json says {_count(wanted)}, and the files hold {found}"
    if all(name.endswith(".bias") for name in names):
        return "config.json says that these layers have biases, and the files have none"
    if parts:
        first = min(parts)
        rest = f", and so on in {_count(len(parts) - 1)}" if len(parts) > 1 else ""
        return f"layer {first} has no complete {', '.join(sorted(parts[first]))}{rest}"
    if any(HEADS.search(name) for name in names):
        return "the output head is neither in the files nor tied to the embedding"
    if any(_NEW_HEADS.search(name) for name in names):
        return "its head was never saved"
    return ""


def _experts(subject: Subject, layer: str | None) -> dict[tuple[str, str], dict[int, str]]:
    """Return the tensors of single experts of a layer: what is around the number, and numbers."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for name in subject.tensors:
        expert, of = _EXPERT.fullmatch(name), _LAYER.search(name)
        if expert is not None and (of is None or layer is None or of["number"] == layer):
            siblings = found.setdefault((expert["before"], expert["after"]), {})
            siblings[int(expert["number"])] = name
    return found


def _lacking(experts: Mapping[tuple[str, str], Mapping[int, str]]) -> list[str]:
    """Return tensors that other experts have, or that have other parts of their expert beside."""
    numbers = {
        before: set().union(*(s for (place, _), s in experts.items() if place == before))
        for before, _ in experts
    }
    return [
        f"{before}{number}{after}"
        for (before, after), siblings in experts.items()
        for number in sorted(numbers[before] - set(siblings))
    ]


def _odd(experts: Mapping[tuple[str, str], Mapping[int, str]], subject: Subject) -> list[str]:
    """Return tensors whose shape is not that of most of their siblings."""
    odd = []
    for siblings in experts.values():
        shapes = Counter(subject.tensors[name][1] for name in siblings.values())
        usual = shapes.most_common(1)[0][0]
        odd += [name for name in siblings.values() if subject.tensors[name][1] != usual]
    return odd


def _count(number: int) -> str:
    return "1 layer" if number == 1 else f"{number} layers"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single value"
