"""The sections of the page, from the report of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from uploader_core.human_text import count_text, duration_text, size_text
from uploader_core.lineage import Lineage, read_lineage
from uploader_core.page import charts, facts
from uploader_core.page.markup import Markup, element, join, link, section, table, text
from uploader_core.page.run_commands import use_commands
from uploader_core.running.report import Report

_SETTINGS = 14
"""Settings of a training that are shown at once."""

_FILES = 200
"""Files of a folder that are shown; the manifest has all."""

_CURVES: Mapping[str, Mapping[str, str]] = {
    "Loss": {"loss": "training", "eval_loss": "evaluation"},
    "Learning rate": {"learning_rate": "learning rate"},
}


def body(report: Report, events: Path) -> Markup:
    """Return everything within the page's ``main``."""
    sources = {kind: made.path for kind, made in report.plan.sources.artifacts.items()}
    lineage = read_lineage(sources)
    return join(
        (
            _verdict(report),
            section("Run it", join(_commands(report))),
            section("What was made", _artifacts(report)),
            section("Where it went", _arrived(report)),
            section("Size and quality", join(_quality(report))),
            section("Training", join(_training(lineage))),
            section("Chat template", _template(sources)),
            section("What stayed where it is", _left_out(report)),
            section("The run", _timeline(report, events), _steps(report)),
        )
    )


def _verdict(report: Report) -> Markup:
    release, error = report.plan.release, report.error()
    outcomes = report.outcomes.values()
    done = sum(o.status in ("done", "kept") for o in outcomes)
    word = "done and verified" if error is None else "not all is done"
    parts: list[object] = [
        element("h1", release.name),
        element("p", "from ", text(release.base_model or "a full model"), class_="soft"),
        element("p", word, class_="verdict" if error is None else "verdict bad"),
        element(
            "p",
            f"{done} of {len(report.outcomes)} steps are done; this run took "
            f"{duration_text(report.seconds)}.",
        ),
    ]
    if error is None:
        parts.append(element("p", "Check it any time:"))
        parts.append(element("pre", f"uploader verify {report.plan.output}"))
    else:
        parts.append(element("p", error.what))
        for label, told in (("Safe", error.safe), ("Next", error.next)):
            if told:
                parts.append(element("h3", label))
                parts.append(element("pre", told))
    return join(parts)


def _commands(report: Report) -> Iterator[Markup]:
    if report.error() is None:
        for program, command in use_commands(report):
            yield element("h3", program)
            yield element("pre", command)


def _artifacts(report: Report) -> Markup:
    parts = []
    for step in report.plan.artifacts:
        record = report.outcomes[step.id].record
        if record is None or record.artifact is None:
            continue
        made = record.artifact
        rows = [
            (
                link(f"{step.folder}/{file.name}", file.name),
                size_text(file.size),
                element("code", file.sha256, class_="hash"),
            )
            for file in made.files[:_FILES]
        ]
        parts.append(
            element(
                "h3",
                f"{step.folder}/ — {count_text(len(made.files), 'file')}, {size_text(made.size)}",
            )
        )
        parts.append(table(("file", "#size", "sha256"), rows))
        if len(made.files) > _FILES:
            more = f"and {len(made.files) - _FILES} more, all in the manifest"
            parts.append(element("p", more, class_="soft small"))
    return join(parts)


def _arrived(report: Report) -> Markup:
    rows = []
    for step in report.plan.uploads:
        record = report.outcomes[step.id].record
        receipt = record.receipt if record is not None else None
        if receipt is None:
            rows.append((text(step.target), "", "", "not yet"))
            continue
        private = receipt.get("private")
        seen = "private" if private is True else "public" if private is False else ""
        url = str(receipt.get("url", ""))
        revision = str(receipt.get("revision") or "")[:12]
        rows.append(
            (
                link(url, url),
                revision,
                seen,
                f"{count_text(receipt.get('files'), 'file')} verified",
            )
        )
    return table(("where", "revision", "who may see it", ""), rows) if rows else Markup("")


def _quality(report: Report) -> Iterator[Markup]:
    measured = facts.fidelity(report)
    models = [m for data in measured for m in data.get("models", ()) if _is_model(m)]
    if not models:
        return
    points = [(m["bytes"] / 1e9, m["kl_mean"], str(m["name"])) for m in models]
    small = max(size for size, _, _ in points) < 1
    if small:
        points = [(size * 1000, divergence, name) for size, divergence, name in points]
    if len(models) > 1:
        told = "KL divergence by size: left is smaller, down is closer to the reference."
        yield element("p", told, class_="soft small")
    yield charts.scatter(points, "size, MB" if small else "size, GB", "KL divergence")
    yield table(
        (
            *("model", "#size", "#bits per weight", "#perplexity"),
            *("#KL divergence", "#same token", "#tokens/s"),
        ),
        (
            (
                m["name"],
                size_text(int(m["bytes"])),
                f"{m['bits_per_weight']:.2f}",
                f"{m['perplexity']:.4g}",
                f"{m['kl_mean']:.3g}",
                f"{m['top1']:.1%}",
                _speed(m.get("generation_tokens_per_second")),
            )
            for m in models
        ),
    )
    said = measured[0].get("text", {})
    reference = measured[0].get("reference", {})
    yield element(
        "p",
        f"Measured against {reference.get('name')} (perplexity {reference.get('perplexity')}) on "
        f"{said.get('name')}: {said.get('tokens')} tokens.",
        class_="soft small",
    )


def _speed(value: Any) -> str:
    """Write tokens for each second; nothing where generating was not timed."""
    if not _is_finite(value):
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _is_model(model: Any) -> bool:
    numbers = ("bytes", "bits_per_weight", "perplexity", "kl_mean", "top1")
    return (
        isinstance(model, dict)
        and isinstance(model.get("name"), str)
        and all(_is_finite(model.get(n)) for n in numbers)
    )


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _training(lineage: Lineage) -> Iterator[Markup]:
    history = lineage.history
    for heading, names in _CURVES.items():
        lines = [
            (label, [(e["step"], e[name]) for e in history if name in e and "step" in e])
            for name, label in names.items()
        ]
        drawn = charts.curve(lines, "step", heading)
        if drawn:
            yield element("h3", heading)
            yield drawn
    known = {**lineage.results, **lineage.method, **lineage.training, **lineage.hardware}
    rows = [(name.replace("_", " "), _value(value)) for name, value in known.items()]
    if rows:
        yield table(("what is known", ""), rows[:_SETTINGS])
    if rows[_SETTINGS:]:
        rest = table(("", ""), rows[_SETTINGS:])
        yield element("details", element("summary", f"{len(rows) - _SETTINGS} more"), rest)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(str, value[:20]))
    return str(value)


def _template(sources: Mapping[str, Path]) -> Markup:
    change = facts.template_change(sources)
    if change is None:
        return Markup("")
    if not change:
        return element("p", "The same as the base model's.")
    looks = {"+": "add", "-": "cut"}
    lines = [element("span", line + "\n", class_=looks.get(line[:1], "")) for line in change]
    return element("pre", join(lines))


def _left_out(report: Report) -> Markup:
    rows = facts.left_out(report)
    if not rows:
        return Markup("")
    return table(("in the trainer's folder", "why it was not released"), rows)


def _timeline(report: Report, events: Path) -> Markup:
    spans = facts.timeline(events)
    kinds = {step.id: step.kind for step in report.plan.steps}
    rows = [
        (s.step, s.start, s.end, "failed" if s.failed else kinds.get(s.step, "")) for s in spans
    ]
    looks = {"failed", "upload", "document"}
    shown = [(name, a, b, look if look in looks else "") for name, a, b, look in rows]
    return charts.bars(shown, max((s.end for s in spans), default=0.0))


def _steps(report: Report) -> Markup:
    rows = []
    for step in report.plan.steps:
        outcome = report.outcomes[step.id]
        why = outcome.error.what if outcome.error else outcome.because or ""
        rows.append((step.id, outcome.status, why))
    inner = table(("step", "how it ended", ""), rows)
    return element("details", element("summary", f"all {len(rows)} steps"), inner)
