"""What the page shows that is not in the report: read from small files, whoever wrote them."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.fidelity import SCHEMA
from uploader_core.running.report import Report
from uploader_core.untrusted_json import parse_json

_LONGEST = 200
"""Lines of a difference, and files that stayed; the page has to remain small."""

_WIDEST = 500
"""Characters of a line of a template; some are one line of many kilobytes."""

_UNREAD = 4 << 20

_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        (".bin", ".pt", ".pth", ".pkl", ".ckpt"),
        "a pickle can run code where it is opened",
    ),
    ((".env", ".ipynb"), "may hold secrets"),
    (("README.md",), "its text goes into the model card"),
    (("trainer_state.json",), "what it tells is in the lineage and the curves above"),
)
_FOLDERS = "a folder of the trainer: checkpoints, logs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """When a step ran, in seconds since the run began."""

    step: str
    start: float
    end: float
    failed: bool


def fidelity(report: Report) -> list[Mapping[str, Any]]:
    """Return what was measured, by its schema and not by who measured."""
    found: list[Mapping[str, Any]] = []
    for outcome in report.outcomes.values():
        artifact = outcome.record.artifact if outcome.record else None
        for file in artifact.files if artifact is not None and artifact.kind == "document" else ():
            if artifact is not None and file.name.endswith(".json"):
                data = _read(artifact.path / file.name)
                if isinstance(data, dict) and data.get("schema") == SCHEMA:
                    found.append(data)
    return found


def timeline(events: Path) -> list[Span]:
    """Return what ran in the last run of a log of events, in order of its beginning."""
    began: dict[str, float] = {}
    spans: list[Span] = []
    start = 0.0
    for event in _lines(events):
        kind, step, time = event.get("type"), str(event.get("step")), event.get("time")
        if not isinstance(time, (int, float)):
            continue
        if kind == "run_started":
            began, spans, start = {}, [], time
        elif kind == "step_started":
            began[step] = time - start
        elif kind in ("step_done", "step_failed") and step in began:
            spans.append(
                Span(step=step, start=began[step], end=time - start, failed=kind == "step_failed")
            )
    return sorted(spans, key=lambda span: span.start)


def template_change(sources: Mapping[str, Path]) -> list[str] | None:
    """Return the lines of a diff from the base's chat template to the fine-tune's.

    Returns:
        None where one of them has none; empty when they are equal.
    """
    if "adapter" not in sources or "base" not in sources:
        return None
    ours, theirs = (_template(sources[kind]) for kind in ("adapter", "base"))
    if ours is None or theirs is None:
        return None
    lines = difflib.unified_diff(
        theirs.splitlines(), ours.splitlines(), "base", "fine-tune", lineterm="", n=2
    )
    return [_short(line) for line in itertools.islice(lines, _LONGEST)]


def left_out(report: Report) -> list[tuple[str, str]]:
    """Return files and folders of the source that no format took over, and why."""
    folder = report.plan.sources.folder
    taken = {
        file.name
        for outcome in report.outcomes.values()
        if outcome.record is not None and outcome.record.artifact is not None
        for file in outcome.record.artifact.files
    }
    found: list[tuple[str, str]] = []
    with contextlib.suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir():
                if entry.name != report.plan.output.name:
                    found.append((entry.name + "/", _FOLDERS))
            elif entry.name not in taken:
                found.append((entry.name, _reason(entry.name)))
    return found[:_LONGEST]


def _short(line: str) -> str:
    return line if len(line) <= _WIDEST else line[:_WIDEST] + "…"


def _reason(name: str) -> str:
    for endings, reason in _REASONS:
        if name.endswith(endings):
            return reason
    return "no format that was made needs it"


def _template(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text("utf-8", "replace")[:_UNREAD]
    config = _read(folder / "tokenizer_config.json")
    template = config.get("chat_template") if isinstance(config, dict) else None
    return template if isinstance(template, str) else None


def _read(path: Path) -> Any:
    try:
        return parse_json(path.read_bytes()) if path.stat().st_size < _UNREAD else None
    except (OSError, ValueError):
        return None


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                event = parse_json(line)
                if isinstance(event, dict):
                    yield event
