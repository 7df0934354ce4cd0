"""A worker that is watched while it performs one request, killed, stopped or deceived."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact
from uploader_core.errors import StepFailedError, UploaderError
from uploader_core.workers.messages import (
    Progress,
    Request,
    Warned,
)
from uploader_core.workers.pool import Workers
from uploader_kit import guard
from uploader_kit.conditions import PLAIN, Conditions, Death
from uploader_kit.meeting import Meeting


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a trial.

    Attributes:
        value: The worker's answer: an artifact, a receipt as JSON or findings; None after an error.
        error: What it raised instead.
        events: Progress and warnings, in order.
        violations: Writes outside the step's folders, network use, secrets told to programs: one
            line each, which begins as :mod:`uploader_kit.guard` says.
        log: What the step printed and logged.
        peak: Most bytes of private memory above an idle worker; None where the system has no
            count.
        trace: What its processes did, where that was listened to.
    """

    value: Any
    error: UploaderError | None = None
    events: tuple[Progress | Warned, ...] = ()
    violations: tuple[str, ...] = ()
    log: str = ""
    peak: int | None = None
    trace: Path | None = None

    @property
    def artifact(self) -> Artifact:
        """The artifact; the step's own error when there is none."""
        if self.error is not None:
            raise self.error
        artifact: Artifact = self.value
        return artifact


@dataclass(frozen=True, kw_only=True, slots=True)
class WatchedWorker:
    """A worker that is watched, and disturbed where that is asked for.

    Attributes:
        root: Private folder of the trial.
        output: Where the step writes, below it.
        environment: Variables besides those of this process.
        limit: Seconds after which the kit ends it.
        conditions: What it sees of the machine.
        death: Where it dies by itself.
        meet: Stops it when it opens a file of the release.
    """

    root: Path
    output: Path
    environment: Mapping[str, str]
    limit: float
    conditions: Conditions = PLAIN
    death: Death | None = None
    meet: Meeting | None = None

    def perform(
        self,
        request: Request[Any],
        *,
        kill: float | None = None,
        until: threading.Event | None = None,
        cancel: bool = False,
        roots: Sequence[str] = ("",),
    ) -> Result:
        """Have it perform a request.

        Args:
            request: What it shall do.
            kill: SIGKILL it at its first event, or after this many seconds.
            until: SIGKILL it when this is set.
            cancel: Stop the run at its first event, as the user does.
            roots: Folders below that of the trial in which it may write.
        """
        self._empty()
        environment = self._environment(self._rules(request, roots))
        workers = Workers(environment, self.logs, module=guard.__name__)
        timer = threading.Timer(self.limit if kill is None else kill, workers.kill)
        events: list[Progress | Warned] = []

        def emit(message: Progress | Warned) -> None:
            events.append(message)
            if kill is not None:
                workers.kill()
            elif cancel and len(events) == 1:
                threading.Thread(target=workers.stop, daemon=True).start()

        value: Any = None
        error = None
        timer.start()
        if until is not None:
            threading.Thread(
                target=_kill_at, args=(until, workers, self.limit), daemon=True
            ).start()
        try:
            with self.meet.running() if self.meet is not None else contextlib.nullcontext():
                value = workers.perform(request, emit)
        except UploaderError as caught:
            error = caught
            if kill is None and workers.stopped and not (cancel or (until and until.is_set())):
                error = _too_late(request, self.limit)
        finally:
            timer.cancel()
        return self._told(value, error, events)

    @property
    def logs(self) -> Path:
        """What it prints, and what is seen of it."""
        return self.root / "logs"

    def _empty(self) -> None:
        """Make its folders, empty."""
        work = self.root / "work"
        shutil.rmtree(work, ignore_errors=True)  # as core does between two attempts
        for folder in (work, self.logs, self.root / "caches"):
            folder.mkdir(parents=True, exist_ok=True)
        for file in self.logs.iterdir():
            file.unlink()

    def _rules(self, request: Request[Any], roots: Sequence[str]) -> dict[str, Any]:
        """Return what the guard in it looks for, and where it notes that."""
        return {
            "log": str(self.logs / "violations.txt"),
            "trace": str(self.logs / "trace.txt"),
            "peak": str(self.logs / "peak.txt"),
            "roots": [str(self.root / name) for name in (*roots, "logs", "caches")],
            "network": request.network,
            "secrets": request.secrets,
            **self.conditions.rules,
            **(self.death.rules(self.output) if self.death is not None else {}),
            **(self.meet.rules if self.meet is not None else {}),
        }

    def _environment(self, rules: Mapping[str, Any]) -> dict[str, str]:
        caches = str(self.root / "caches")
        return {
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(self.root / "work")),
            **dict.fromkeys(("XDG_CACHE_HOME", "HF_HOME", "TORCHINDUCTOR_CACHE_DIR"), caches),
            **self.conditions.environment,
            **self.environment,
            guard.VARIABLE: json.dumps(rules),
        }

    def _told(
        self, value: Any, error: UploaderError | None, events: Sequence[Progress | Warned]
    ) -> Result:
        """Return what became of it, with what the guard noted."""
        logs = self.logs
        said = "".join(p.read_text("utf-8", "replace") for p in sorted(logs.glob("*.log")))
        noted, trace, peak = (logs / f"{n}.txt" for n in ("violations", "trace", "peak"))
        violations = noted.read_text("utf-8").splitlines() if noted.is_file() else []
        count = peak.read_text("ascii") if peak.is_file() else ""
        return Result(
            value=value,
            error=error,
            events=tuple(events),
            violations=tuple(dict.fromkeys(violations)),
            log=said,
            peak=int(count) if count else None,
            trace=trace if trace.is_file() else None,
        )


def _too_late(request: Request[Any], limit: float) -> StepFailedError:
    return StepFailedError(
        f"{request.run} was still running after {limit:g} s, and the kit ended it",
        owner=request.owner,
        next="if it needs that long on a tiny input, give the test class another `limit` or "
        "`check_limit`; if not, it hangs or loops",
    )


def _kill_at(event: threading.Event, workers: Workers, limit: float) -> None:
    """Kill workers when something has happened."""
    if event.wait(limit):
        workers.kill()
