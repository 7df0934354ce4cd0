"""What is said of an engine, and how it is kept and shown."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from uploader_core.plugin import Json
from uploader_lora.task import Task

State = Literal["runs", "with", "not", "unknown"]

_KEY = "where_it_runs"
"""Of an artifact's metadata."""

_GENERATING = ("text-generation", "image-text-to-text")

_WORDS: Mapping[State, str] = {
    "runs": "yes",
    "with": "yes, with",
    "not": "no",
    "unknown": "not known",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether an engine loads an artifact and answers as the fine-tune does.

    Attributes:
        engine: Such as ``vLLM``.
        version: That this was looked up for; "" where it is no matter of versions.
        state: ``runs``, ``with`` something besides, ``not``, or ``unknown``: nobody looked.
        needs: Package or option, for ``with``.
        because: Why not, or what is not known.
        instead: What to release for this engine, as a clause.
    """

    engine: str
    state: State
    version: str = ""
    needs: str = ""
    because: str = ""
    instead: str = ""

    @property
    def runs(self) -> bool:
        """Whether a command for this engine may be shown."""
        return self.state in ("runs", "with")


@functools.cache
def facts() -> Mapping[str, Any]:
    """Return ``engines.json``: version and architectures by engine."""
    text = resources.files(__package__).joinpath("engines.json").read_text("utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found


def verdict(engine: str, state: State, *, because: str = "", **words: str) -> Verdict:
    """Return a verdict on the version that ``engines.json`` names."""
    version = str(facts().get(engine, {}).get("version", ""))
    return Verdict(engine=engine, state=state, version=version, because=because, **words)


def generates(task: Task) -> bool:
    """Return whether a model generates text; of others nothing was looked up."""
    return task.tag in _GENERATING


def recorded(verdicts: Iterable[Verdict], task: Task) -> dict[str, Json]:
    """Return verdicts as members of an artifact's metadata, which the manifest repeats.

    Args:
        verdicts: Of an artifact.
        task: What its model is for.
    """
    names = ("engine", "version", "state", "needs", "because", "instead")
    if not generates(task):
        return {}
    return {
        _KEY: [{name: value for name in names if (value := getattr(v, name))} for v in verdicts]
    }


def _read(metadata: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """Return what metadata say; nothing where an older version wrote them."""
    found = metadata.get(_KEY)
    return tuple(Verdict(**one) for one in found) if isinstance(found, list) else ()


def on_engine(metadata: Mapping[str, Any], engine: str) -> Verdict | None:
    """Return the verdict on an engine that an artifact's metadata hold."""
    return next((one for one in _read(metadata) if one.engine == engine), None)


def runs_alone(metadata: Mapping[str, Any], engine: str) -> bool:
    """Return whether an engine takes an artifact with nothing installed besides."""
    found = on_engine(metadata, engine)
    return found is not None and found.state == "runs"


def shown(metadata: Mapping[str, Any]) -> list[str]:
    """Return lines of Markdown for a card, a row for each engine; none without verdicts."""
    rows = [
        f"| {f'{one.engine} {one.version}'.strip()} | {_answer(one)} | {_reason(one)} |"
        for one in _read(metadata)
    ]
    return ["", "| it runs on | | |", "| --- | --- | --- |", *rows] if rows else []


def _answer(one: Verdict) -> str:
    return f"{_WORDS[one.state]} `{one.needs}`" if one.state == "with" else _WORDS[one.state]


def _reason(one: Verdict) -> str:
    return ": ".join(part for part in (one.because, one.instead) if part)
