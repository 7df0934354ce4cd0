"""A step whose work splits: its pieces by several workers, then what puts them together."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from uploader_core.artifact import Artifact, ArtifactFile
from uploader_core.contract.costs import Piece
from uploader_core.errors import CancelledError
from uploader_core.jobs.job_folder import JobRequest, steps_of, with_steps
from uploader_core.workers.child import Emit
from uploader_core.workers.messages import Progress, Warned

R = TypeVar("R")

LEAST = 64 << 20
"""Bytes of the pieces of one worker below which starting it costs more than it saves."""

MOST = 1 << 30
"""Bytes of pieces after which a worker is done, so that little is lost with it."""

LEAST_VARIABLE = "UPLOADER_LEAST_PIECE"
"""Variable of the environment for another :data:`LEAST`, in bytes."""

MOST_VARIABLE = "UPLOADER_MOST_PIECE"
"""Variable of the environment for another :data:`MOST`, in bytes."""

Perform = Callable[[Any, Emit], Any]


class Division:
    """Splits the work of steps among the places that are free.

    Args:
        jobs: Workers side by side, at most.
        places: Those of them that are free now; a step that runs has one already.
        environment: Variables of the run.
    """

    def __init__(
        self, jobs: int, places: threading.Semaphore, environment: Mapping[str, str]
    ) -> None:
        self._jobs = jobs
        self._places = places
        self._least = _size(environment, LEAST_VARIABLE, LEAST)
        self._most = _size(environment, MOST_VARIABLE, MOST)

    def make(
        self, request: JobRequest, pieces: Sequence[Sequence[Piece]], perform: Perform, emit: Emit
    ) -> Any:
        """Perform a request, its pieces first where that is worth it.

        Args:
            request: To make everything.
            pieces: Of each of its steps.
            perform: Runs a request in a worker and returns its answer.
            emit: Receives progress and warnings.

        Raises:
            UploaderError: As a piece did, when those that were begun have ended.
        """
        groups = self._groups(pieces)
        if not groups:
            return perform(request, emit)
        sum_up = _Sum(emit, len(groups))
        made: list[dict[str, ArtifactFile]] = [{} for _ in steps_of(request)]
        for answer in self._all(request, groups, perform, sum_up):
            artifacts = (answer,) if isinstance(answer, Artifact) else answer
            for files, artifact in zip(made, artifacts, strict=True):
                files |= {file.name: file for file in artifact.files}
        whole = (
            replace(step, finished=tuple(files[name] for name in sorted(files)))
            for step, files in zip(steps_of(request), made, strict=True)
        )
        return perform(with_steps(request, whole), emit)

    def splits(self, pieces: Sequence[Piece]) -> bool:
        """Return whether a step with such pieces is made by several workers."""
        return bool(self._groups([pieces]))

    def _groups(self, pieces: Sequence[Sequence[Piece]]) -> list[tuple[tuple[str, ...], ...]]:
        return group(pieces, self._jobs, self._least, self._most)

    def _all(
        self,
        request: JobRequest,
        groups: Sequence[Sequence[tuple[str, ...]]],
        perform: Perform,
        sum_up: _Sum,
    ) -> list[Any]:
        """Perform the groups, each when there is a place for it."""
        todo = [*enumerate(groups)]
        running: dict[concurrent.futures.Future[Any], bool] = {}
        answers: list[Any] = []
        failed: BaseException | None = None
        with concurrent.futures.ThreadPoolExecutor(max_workers=self._jobs) as pool:
            while running or (todo and failed is None):
                while todo and failed is None and len(running) < self._jobs:
                    # The step's own place first, then others while they are free.
                    own = not any(running.values())
                    if not own and not self._places.acquire(blocking=False):
                        break
                    n, names = todo.pop(0)
                    part = _part(request, n, names)
                    running[pool.submit(perform, part, sum_up.of(n))] = own
                finished, _ = concurrent.futures.wait(
                    running, 0.25, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in finished:
                    if not running.pop(future):
                        self._places.release()
                    error = future.exception()
                    if error is None:
                        answers.append(future.result())
                    elif failed is None or isinstance(error, CancelledError):
                        failed = error
        if failed is not None:
            raise failed
        return answers


def _size(environment: Mapping[str, str], variable: str, otherwise: int) -> int:
    with contextlib.suppress(ValueError):
        return max(1, int(environment.get(variable, "")))
    return otherwise


def group(
    pieces: Sequence[Sequence[Piece]], jobs: int, least: int = LEAST, most: int = MOST
) -> list[tuple[tuple[str, ...], ...]]:
    """Say which pieces are done by one worker.

    Args:
        pieces: Of each step of a request, in their order.
        jobs: Workers that are to be had.
        least: Bytes that are worth a worker.
        most: Bytes that are enough for one.

    Returns:
        For each worker the names of each step's pieces, neighbours together, of about the same
        size; fewer than two where the work is not split.
    """
    total = sum(piece.size for each in pieces for piece in each)
    count = max(min(jobs, total // least), total // most)
    count = min(count, *(len(each) for each in pieces))
    if jobs < 2 or count < 2:
        return []
    cut = [[*_cut(each, count)] for each in pieces]
    return [*zip(*cut, strict=True)]


def _cut(pieces: Sequence[Piece], count: int) -> Iterator[tuple[str, ...]]:
    """Yield the names of pieces in groups of about the same size, none of them empty."""
    total, done, begin = sum(piece.size for piece in pieces), 0, 0
    for n in range(count):
        end = begin
        last = len(pieces) - (count - n - 1)  # one for each of the others
        while end < last and (end == begin or n == count - 1 or done < total * (n + 1) / count):
            done += pieces[end].size
            end += 1
        yield tuple(piece.name for piece in pieces[begin:end])
        begin = end


def _part(request: JobRequest, n: int, names: Sequence[tuple[str, ...]]) -> JobRequest:
    """Return the request for one group of pieces, with a scratch folder of its own."""
    steps = []
    for step, pieces in zip(steps_of(request), names, strict=True):
        work = step.context.work / f"piece-{n}"
        work.mkdir(parents=True, exist_ok=True)
        steps.append(replace(step, context=replace(step.context, pieces=pieces, work=work)))
    return with_steps(request, steps)


class _Sum:
    """Adds up what several workers of one step say of their progress."""

    def __init__(self, emit: Emit, workers: int) -> None:
        self._emit = emit
        self._workers = workers
        self._guard = threading.Lock()
        self._last: dict[int, Progress] = {}

    def of(self, n: int) -> Emit:
        """Return what one worker talks to."""

        def emit(message: Progress | Warned) -> None:
            with self._guard:
                if isinstance(message, Progress):
                    self._last[n] = message
                    message = self._all(message)
                self._emit(message)

        return emit

    def _all(self, last: Progress) -> Progress:
        same = [each for each in self._last.values() if each.unit == last.unit]
        totals = [each.total for each in same if each.total is not None]
        whole = len(totals) == len(same) == self._workers
        return Progress(
            what=last.what.partition(":")[0],
            done=sum(each.done for each in same),
            total=sum(totals) if whole else None,
            unit=last.unit,
        )
