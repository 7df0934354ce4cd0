"""``training_lineage.json``: how a model was trained, as far as the trainer's files tell.

What is published is an allow-list: numbers, switches and short texts under names that are known to
describe a training. Texts lose paths, names of people and machines, addresses and secrets. What is
not known is left out, and nothing is made up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, Json
from uploader_core.card_head import card_metadata, read_card
from uploader_core.contract.step_context import StepContext
from uploader_core.lineage_keys import (
    HARDWARE,
    METHOD,
    NUMBERS_OF_A_LOG,
    PACKAGES,
    RESULTS,
    TRAINING,
    is_dataset,
)
from uploader_core.redact import Redactor
from uploader_core.untrusted_json import read_object, read_text

NAME = "training_lineage.json"
STATE = "trainer_state.json"
_LARGEST_NUMBER = 1e300
POINTS = 500
"""Entries of the history that are kept at most."""

_LONGEST = 200
_VERSION = re.compile(r"v?\d[\w.+-]{0,40}")
_VERSION_ON_A_CARD = re.compile(r"^[-*] *([\w .-]+?): *(v?\d[\w.+-]*) *$", re.MULTILINE)
_BY_A_TRAINER = ("It has been trained using [TRL]", "generated_from_trainer")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """What is known of a training, ready to be published.

    Attributes:
        method: How the model was adapted: ``r``, ``lora_alpha``, ``target_modules``, ...
        training: Settings of the trainer by the names that it uses.
        results: Numbers at the end: ``loss``, ``eval_loss``, ``steps``, ``epochs``, seconds as
            ``train_runtime``.
        hardware: What it ran on.
        software: Versions by package.
        datasets: Ids on the Hub.
        tags: Words that the trainer put on its card (``trl``, ``sft``).
        history: What was logged, in order; ``step`` and numbers.
    """

    method: Mapping[str, Json] = field(default_factory=dict)
    training: Mapping[str, Json] = field(default_factory=dict)
    results: Mapping[str, float] = field(default_factory=dict)
    hardware: Mapping[str, Json] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    history: tuple[Mapping[str, float], ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return the parts of which something is known."""
        parts: dict[str, Json] = {
            "method": {**self.method},
            "training": {**self.training},
            "results": {**self.results},
            "hardware": {**self.hardware},
            "software": {**self.software},
            "datasets": [*self.datasets],
            "tags": [*self.tags],
            "history": [{**entry} for entry in self.history],
        }
        return {name: part for name, part in parts.items() if part}


def write(context: StepContext) -> Artifact:
    """Write ``training_lineage.json``; nothing when nothing is known."""
    known = read_lineage(context.sources).to_json()
    if known:
        release = context.release
        head: dict[str, Json] = {"schema_version": 1}
        if release.base_is_hub_id and release.base_model is not None:
            head["base_model"] = release.base_model
            # Of an unpinned base nobody knows which commit was the newest when it was trained on.
            trained_on = release.base_pinned or release.source == "checkpoint"
            if release.base_revision is not None and trained_on:
                head["base_revision"] = release.base_revision
        text = json.dumps({**head, **known}, indent=1, ensure_ascii=False)
        context.output.write(NAME, text + "\n", role="document")
    return context.artifact()


def fact_files(sources: Mapping[str, Path]) -> list[Path]:
    """Return the small files that documents may draw on, those that exist."""
    found = []
    for folder in dict.fromkeys(sources.values()):
        if folder.is_dir():
            found += sorted(p for p in folder.iterdir() if _FACTS.fullmatch(p.name) and p.is_file())
    trained = _trained(sources)
    for extra in (_state_file(trained), _trainers_card(trained)):
        if extra is not None and extra not in found:
            found.append(extra)
    return found


_FACTS = re.compile(
    r"README\.md|(?:LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*|config\.json|adapter_config\.json"
    rf"|{re.escape(NAME)}|{re.escape(STATE)}",
    re.IGNORECASE,
)


def read_lineage(sources: Mapping[str, Path]) -> Lineage:
    """Gather what a trainer left beside its model.

    Args:
        sources: Folders by source kind, as in :attr:`StepContext.sources`.
    """
    folder = _trained(sources)
    if folder is None:
        return Lineage()
    config = read_object(folder / "adapter_config.json")
    told = read_object(folder / NAME)
    place = _state_file(folder)
    state = {} if place is None else read_object(place)
    beside = _trainers_card(folder)
    cards = [read_card(folder), *([] if beside is None else [_text(beside)])]
    raw = [*_texts(config), *_texts(told), *_texts(state), *cards]
    return _gather(config, told, state, cards, Redactor(raw))


def _gather(
    config: Mapping[str, Any],
    told: Mapping[str, Any],
    state: Mapping[str, Any],
    cards: Sequence[str],
    redact: Redactor,
) -> Lineage:
    flat = list(_flat(told))
    heads = [card_metadata(card) for card in cards]
    log = [entry for entry in state.get("log_history") or () if isinstance(entry, dict)]
    history = [clean for entry in log if "step" in (clean := _numbers(entry))]
    software = dict(_versions(flat))
    for card in cards:
        for name, version in _VERSION_ON_A_CARD.findall(card):
            software.setdefault(_key(name), version)
    peft = config.get("peft_version")
    if isinstance(peft, str) and _VERSION.fullmatch(peft):
        software.setdefault("peft", peft)
    datasets = [v for k, v in flat if _key(k) in _DATASETS]
    tags = [
        tag
        for head in heads
        for tag in _strings(head.get("tags"))
        if re.fullmatch(r"[a-z0-9][a-z0-9 _.-]{0,40}", tag)
    ]
    named = [name for head in heads for name in _strings(head.get("datasets"))]
    return Lineage(
        method=_chosen(config.items(), METHOD, redact),
        training=_chosen(flat, TRAINING, redact),
        results=_results(flat, state, history),
        hardware=_chosen(flat, HARDWARE, redact),
        software={k: software[k] for k in sorted(software) if k in PACKAGES},
        datasets=tuple(
            dict.fromkeys(
                name
                for value in (*named, *_strings(datasets))
                if is_dataset(name := value.removeprefix("https://huggingface.co/datasets/"))
                and redact(name) == name
            )
        ),
        tags=tuple(dict.fromkeys(t for t in tags if redact(t) == t)),
        history=tuple(_thinned(history)),
    )


_DATASETS = {"dataset", "datasets", "dataset_name", "dataset_id", "dataset_repo", "train_dataset"}


def _results(
    flat: Iterable[tuple[str, Any]], state: Mapping[str, Any], history: list[dict[str, float]]
) -> dict[str, float]:
    """Return the last word on every number that measures the training."""
    found: dict[str, float] = {}
    for key, value in flat:
        if _key(key) in RESULTS and _is_number(value):
            found.setdefault(_key(key), value)
    for entry in history:
        found |= {k: v for k, v in entry.items() if k in RESULTS or k.startswith("eval_")}
    names = {"global_step": "steps", "epoch": "epochs", "best_metric": "best_metric"}
    found |= {names[k]: state[k] for k in names if _is_number(state.get(k))}
    return found


def _chosen(
    items: Iterable[tuple[str, Any]], allowed: frozenset[str], redact: Redactor
) -> dict[str, Json]:
    """Return the allowed entries whose values are plain and short."""
    found: dict[str, Json] = {}
    for key, value in items:
        if _key(key) in allowed and _key(key) not in found:
            clean = _plain(value, redact)
            if clean not in (None, "", [], {}):
                found[_key(key)] = clean
    return found


def _plain(value: Any, redact: Redactor) -> Json:
    if isinstance(value, bool) or _is_number(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str):
        clean = redact(value)
        return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"
    if isinstance(value, list):
        return [_plain(item, redact) for item in value[:64] if not isinstance(item, (list, dict))]
    if isinstance(value, dict):
        return {
            redact(str(key))[:_LONGEST]: _plain(item, redact)
            for key, item in [*value.items()][:64]
            if not isinstance(item, (list, dict))
        }
    return None


def _thinned(history: list[dict[str, float]]) -> Iterator[dict[str, float]]:
    """Yield at most :data:`POINTS` entries, the first and last among them."""
    if len(history) <= POINTS:
        yield from history
        return
    last = len(history) - 1
    for index in range(POINTS):
        yield history[round(index * last / (POINTS - 1))]


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {
        key: value
        for key, value in entry.items()
        if _is_number(value) and NUMBERS_OF_A_LOG.fullmatch(key)
    }


def _versions(flat: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for key, value in flat:
        name = _key(key).removesuffix("_version")
        if name in PACKAGES and isinstance(value, str) and _VERSION.fullmatch(value):
            yield name, value


def _flat(data: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested mappings, the outer before the inner."""
    yield from data.items()
    if depth < 6:
        for value in data.values():
            if isinstance(value, dict):
                yield from _flat(value, depth + 1)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _strings(value: Any) -> Iterator[str]:
    """Yield texts of a text, a list of them, or mappings that name something."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key in ("id", "name", "path", "repo"):
            yield from _strings(value.get(key))


def _trained(sources: Mapping[str, Path]) -> Path | None:
    kinds = ("adapter", "adapter-stack", "checkpoint")
    return next((sources[kind] for kind in kinds if kind in sources), None)


def _state_file(folder: Path | None) -> Path | None:
    """Return the trainer's state: in the folder, or the newest one in or next to it."""
    if folder is None:
        return None
    if (folder / STATE).is_file():
        return folder / STATE
    for place in (folder, folder.parent):
        found = [
            (int(match[1]), False, path / STATE)
            for path in place.glob("checkpoint-*")
            if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and (path / STATE).is_file()
        ]
        if (final := place / STATE).is_file():
            # Written after the last checkpoint: it has the mean loss and the time as well.
            steps = read_object(final).get("global_step")
            found.append((steps if isinstance(steps, int) else 0, True, final))
        if found:
            return max(found)[2]
    return None


def _trainers_card(folder: Path | None) -> Path | None:
    """Return the card that a trainer wrote into the folder in which it saved the model."""
    path = None if folder is None else folder.parent / "README.md"
    if path is None or not path.is_file():
        return None
    text = _text(path)
    return path if any(mark in text for mark in _BY_A_TRAINER) else None


def _text(path: Path) -> str:
    try:
        return read_text(path, errors="replace")
    except (OSError, ValueError):
        return ""


def _key(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip()).lower()


def _is_number(value: Any) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    # No number that a float cannot hold measures anything.
    return abs(value) < _LARGEST_NUMBER
