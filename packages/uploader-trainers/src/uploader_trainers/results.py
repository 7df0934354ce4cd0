"""What ``plan`` and ``run`` give back: data for a script, a table in a notebook."""

from __future__ import annotations

from pathlib import Path

from uploader_core import api
from uploader_core.api import (
    Plan,
    Registry,
    Report,
    Survey,
    UploaderError,
    Verification,
    count_text,
    duration_text,
    size_text,
)
from uploader_trainers.html import Cell, note, table


class Preview:
    """A plan that was checked, and not run.

    Attributes:
        survey: All of it.
    """

    def __init__(self, survey: Survey) -> None:
        self.survey = survey

    @property
    def plan(self) -> Plan:
        return self.survey.plan

    @property
    def errors(self) -> tuple[UploaderError, ...]:
        """What refuses a run; empty when it can start."""
        return self.survey.errors

    def _rows(self) -> list[list[Cell]]:
        rows: list[list[Cell]] = []
        for step in self.plan.steps:
            if step.is_virtual or step.kind == "document":
                continue
            estimate = step.estimate
            size = estimate.bytes_sent if step.kind == "upload" else estimate.bytes_written
            seconds = step.seconds
            rows.append(
                [
                    f"to {step.target}" if step.kind == "upload" else str(step.folder),
                    "done already" if step.id in self.survey.kept else step.spec.summary,
                    size_text(size) if size else "",
                    f"~{duration_text(seconds)}" if seconds else "",
                ]
            )
        return rows

    def __repr__(self) -> str:
        lines = [f"{self.plan.release.name}: {self.plan.output}"]
        lines += ["  ".join(filter(None, row)) for row in self._rows()]
        lines += [f"refused: {error.what}" for error in self.errors]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        notes = [note(f.level, f.what, f.next) for f in self.plan.findings]
        notes += [note("error", e.what, e.next) for e in self.errors]
        title = f"{self.plan.release.name}: {self.plan.output}"
        head = ("format", "", "size", "time")
        return table(title, head, self._rows()) + "".join(notes)


class Release:
    """A release that is done and verified.

    Attributes:
        report: All of it.
    """

    def __init__(self, report: Report, registry: Registry) -> None:
        self.report = report
        self._registry = registry

    @property
    def path(self) -> Path:
        """The release folder."""
        return self.report.plan.output

    @property
    def files(self) -> list[Path]:
        """Files of all formats, in the release folder."""
        found = []
        for step in self.report.plan.artifacts:
            record = self.report.outcomes[step.id].record
            if record is not None and record.artifact is not None:
                found += [self.path / (step.folder or "") / f.name for f in record.artifact.files]
        return found

    @property
    def urls(self) -> list[str]:
        """Where it was published, in the order of the plan."""
        found = []
        for step in self.report.plan.uploads:
            record = self.report.outcomes[step.id].record
            if record is not None and record.receipt is not None:
                found.append(str(record.receipt["url"]))
        return found

    @property
    def url(self) -> str | None:
        """The first of :attr:`urls`."""
        return next(iter(self.urls), None)

    def verify(self) -> Verification:
        """Compare the release folder with its manifest once more."""
        return api.verify(str(self.path), registry=self._registry)

    def __repr__(self) -> str:
        places = ", ".join(self.urls) or "nowhere yet"
        return f"<Release {self.path}: {count_text(len(self.files), 'file')}; published: {places}>"

    def _repr_html_(self) -> str:
        rows: list[list[Cell]] = []
        for step in self.report.plan.artifacts:
            record = self.report.outcomes[step.id].record
            if record is not None and record.artifact is not None:
                artifact = record.artifact
                rows.append([f"{step.folder}/", count_text(len(artifact.files), "file"),
                             size_text(artifact.size)])  # fmt: skip
        title = f"{self.report.plan.release.name}: done and verified"
        published = [note("arrived", url, None) for url in self.urls]
        return table(title, (str(self.path), "", "size"), rows) + "".join(published)
