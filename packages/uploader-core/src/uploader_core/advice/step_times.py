"""How long steps take: as measured on this machine before, else from bytes and a stated rate.

A small file in the user's cache holds, by plugin and spec, how the last runs compared with the
plain guess. It holds no paths, names or contents of models. Only runs of about the same size are
believed: what a small model takes is mostly starting, and says nothing of a large one.
"""

from __future__ import annotations

import contextlib
import os
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from uploader_core.artifact import Json
from uploader_core.contract.specs import UploadSpec
from uploader_core.disk.safe_write import write_json
from uploader_core.errors import (
    UploaderError,
)
from uploader_core.human_text import size_text
from uploader_core.planning.plan import PlannedStep
from uploader_core.untrusted_json import parse_json

RATES = {"cpu": 200e6, "gpu": 200e6, "light": 200e6, "network": 10e6}
"""Bytes each second, by lane, where nothing was measured and the plugin gives no time."""

_START = {"process": 3.0, "inline": 0.0}
"""Seconds until a worker has imported what it needs, about."""

_REMEMBERED = 20
_MEANT = 5
_ALIKE = 4.0
_FILE = "pace.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """How long a step takes.

    Attributes:
        seconds: Wall time.
        source: Where that is from, in words.
        measured: Whether earlier runs on this machine say so.
    """

    seconds: float
    source: str
    measured: bool = False


def guess(step: PlannedStep) -> Expected | None:
    """Return the time that a step takes by its plugin's word or by its bytes; None for nothing."""
    estimate = step.estimate
    if estimate.seconds is not None:
        return Expected(seconds=estimate.seconds, source="the plugin's guess from sizes")
    upload = isinstance(step.spec, UploadSpec)
    size = estimate.bytes_sent if upload else estimate.bytes_written
    if not size:
        return None
    rate = RATES[step.lane]
    return Expected(
        seconds=_START[step.spec.isolation] + size / rate,
        source=f"{size_text(size)} at {size_text(int(rate))}/s",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What was measured on this machine.

    Attributes:
        runs: By ``plugin:spec``, of the last runs the plain guess and the seconds that they took.
    """

    runs: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def expect(self, step: PlannedStep) -> Expected | None:
        """Return how long a step takes, None where nothing can be said."""
        plain = guess(step)
        if plain is None:
            return None
        ratios = [
            took / guessed
            for guessed, took in self.runs.get(_name(step), ())
            if plain.seconds / _ALIKE <= guessed <= plain.seconds * _ALIKE
        ][-_MEANT:]
        if not ratios:
            return plain
        runs = "one run" if len(ratios) == 1 else f"{len(ratios)} runs"
        return Expected(
            seconds=plain.seconds * statistics.median(ratios),
            source=f"measured here in {runs}",
            measured=True,
        )

    def learn(self, step: PlannedStep, seconds: float) -> Pace:
        """Return the pace with one more run in it.

        Args:
            step: Planned, with the plugin's own estimate.
            seconds: That it took.
        """
        plain = guess(step)
        if plain is None or plain.seconds <= 0 or seconds <= 0:
            return self
        name = _name(step)
        known = (*self.runs.get(name, ()), (plain.seconds, seconds))[-_REMEMBERED:]
        return Pace(runs={**self.runs, name: known})


def _name(step: PlannedStep) -> str:
    return step.id.partition("@")[0]


def _path() -> Path:
    chosen = os.environ.get("UPLOADER_PACE")
    if chosen:
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("uploader", appauthor=False) / _FILE


def load(path: Path | None = None) -> Pace:
    """Read what was measured; a file that is missing or damaged is nothing measured."""
    try:
        data = parse_json((path or _path()).read_text("utf-8"))
        return Pace(
            runs={
                str(name): tuple((float(guessed), float(took)) for guessed, took in pairs)
                for name, pairs in data["runs"].items()
            }
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Pace()


def save(pace: Pace, path: Path | None = None) -> None:
    """Keep what was measured; where that is not possible, nothing is lost but a guess."""
    runs: dict[str, Json] = {
        name: [[round(guessed, 3), round(took, 3)] for guessed, took in pairs]
        for name, pairs in pace.runs.items()
    }
    with contextlib.suppress(OSError, UploaderError):
        write_json(path or _path(), {"schema": "uploader.pace/1", "runs": runs})


def learn(took: Iterable[tuple[PlannedStep, float]]) -> None:
    """Keep how long steps took that did all of their work."""
    known = pace = load()
    for step, seconds in took:
        pace = pace.learn(step, seconds)
    if pace is not known:
        save(pace)


def with_time(step: PlannedStep, pace: Pace) -> PlannedStep:
    """Return the step with how long it takes, where that is known."""
    expected = pace.expect(step)
    if expected is None:
        return step
    return replace(
        step,
        seconds=expected.seconds,
        seconds_from=expected.source,
        measured=expected.measured,
    )
