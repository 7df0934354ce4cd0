"""Attempts of uploads: what outlives them, and what is cleaned up when one is not finished."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from uploader_core.contract.context import CleanUpContext
from uploader_core.contract.specs import UploadSpec
from uploader_core.disk.safe_write import write_bytes
from uploader_core.errors import CancelledError, UploaderError
from uploader_core.planning.plan import PlannedStep
from uploader_core.release.record import safe_name
from uploader_core.workers.messages import CleanUp, Settings, from_line, to_line
from uploader_core.workers.pool import Workers


class Attempts:
    """The uploads of a release that were begun.

    Args:
        internal: The ``.uploader`` folder of the release.
        environment: Variables of the run.
        warn: Told what could not be cleaned up.
    """

    def __init__(
        self, internal: Path, environment: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._folder = internal / "uploads"
        self._environment = environment
        self._logs = internal / "logs"
        self._warn = warn

    @contextlib.contextmanager
    def attempt(self, step: PlannedStep) -> Iterator[Path]:
        """Note an upload while it runs, and have its destination clean up when it fails.

        Args:
            step: The upload; it runs in the body.

        Yields:
            A folder of the step that is there for the next attempt as well.
        """
        state = self._folder / safe_name(step.id)
        state.mkdir(parents=True, exist_ok=True)
        spec, mark = step.spec, state.with_suffix(".json")
        if isinstance(spec, UploadSpec) and spec.clean_up is not None:
            request = CleanUp(
                step=f"clean-up of {step.id}",
                owner=step.plugin.entry.owner,
                secrets=step.secrets,
                network=True,
                run=spec.clean_up,
                settings=Settings.of(step.plugin.id, step.settings),
                context=CleanUpContext(target=step.target or "", why="killed", state=state),
            )
            write_bytes(mark, to_line(request).encode("ascii"))
        try:
            yield state
        except BaseException as error:
            self._clean_up(mark, "cancelled" if isinstance(error, CancelledError) else "failed")
            raise
        mark.unlink(missing_ok=True)
        shutil.rmtree(state, ignore_errors=True)

    def clean_up_earlier(self, uploads: Iterable[PlannedStep]) -> None:
        """Clean up after uploads of earlier runs, most of which ended without a word.

        Args:
            uploads: Of this run, which may go on with what is kept.
        """
        again = {safe_name(step.id) for step in uploads}
        for mark in sorted(self._folder.glob("*.json")):
            self._clean_up(mark, again=mark.stem in again)

    def _clean_up(self, mark: Path, why: str = "", *, again: bool = False) -> None:
        """Let the destination clean up; what fails or is kept is for the next run."""
        if not mark.is_file():
            return
        name = mark.stem
        try:
            request = from_line(mark.read_text("ascii"))
            name, context = request.step, request.context
            context = replace(context, why=why or context.why, again=again)
            request = replace(request, context=replace(context, state=mark.with_suffix("")))
            write_bytes(mark, to_line(request).encode("ascii"))
            done = Workers(self._environment, self._logs).perform(request)
        except (OSError, ValueError, UploaderError) as error:
            self._warn(f"{name} failed: {error}; the next run tries it again")
        else:
            if done:
                mark.unlink(missing_ok=True)
