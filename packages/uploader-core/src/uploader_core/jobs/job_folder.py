"""The folder of a job: what it shall do, how far it is, and what came of it.

It lies in the release folder, which every machine sees, and is all that a run and a job say to each
other. Its name is made of what the job does, so a run that goes on after another finds it again.
Its files are written by the write protocol: whoever reads one reads all of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact
from uploader_core.contract.returned import plain
from uploader_core.disk.safe_write import write_bytes
from uploader_core.errors import TemporaryError, UploaderError, from_json, to_message
from uploader_core.machine.filesystems import stamp_of
from uploader_core.machine.folder_lock import hold
from uploader_core.release.record import canonical_digest, safe_name
from uploader_core.untrusted_json import as_json, expect, parse_json, read_as
from uploader_core.workers.messages import (
    Answer,
    Failed,
    Progress,
    Request,
    RunStep,
    RunTogether,
    Warned,
    from_line,
    to_line,
)

JobRequest = RunStep | RunTogether

FOLDER = "jobs"
"""Below the ``.uploader`` folder of a release."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Submitted:
    """A job was handed to an engine.

    Attributes:
        executor: Name of the executor.
        id: What the engine calls it; "" where that was not yet known.
    """

    executor: str
    id: str


class JobFolder:
    """The files of one job.

    Args:
        path: The folder; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.work = path / "work"
        self.lock = path / "lock"
        self._read_to = 0

    @classmethod
    def of(cls, internal: Path, request: JobRequest) -> tuple[JobFolder, JobRequest]:
        """Return where a request is done as a job, and the request with the job's scratch folder.

        Args:
            internal: The ``.uploader`` folder of the release.
            request: As for a worker of this process.
        """
        key = canonical_digest(as_json(_with_work(request, Path("work"))))
        name = f"{group_of(request)}-{key[:16]}"
        folder = cls(internal / FOLDER / name)
        return folder, _with_work(request, folder.work)

    @property
    def key(self) -> str:
        """What tells this work from any other, for the engine."""
        return f"uploader-{self.path.name.rpartition('-')[2]}"

    # -- the run's side ----------------------------------------------------------------------

    def begin(self, request: JobRequest) -> None:
        """Write down what shall be done."""
        write_bytes(self.path / "request.json", to_line(request).encode("ascii"))

    def submitted(self) -> Submitted | None:
        """Return how the job was handed to an engine, None when it was not."""
        with contextlib.suppress(OSError, ValueError):
            return read_as(Submitted, parse_json((self.path / "submitted.json").read_text("utf-8")))
        return None

    def note_submitted(self, submitted: Submitted | None) -> None:
        """Write down, before anything is asked of it, what the engine calls the job."""
        path = self.path / "submitted.json"
        if submitted is None:
            path.unlink(missing_ok=True)
        else:
            write_bytes(path, json.dumps(as_json(submitted)).encode("ascii"))

    def answer(self, request: Request[Any]) -> Any:
        """Return what came of the job, as the request's own answer; None when it is not through.

        Raises:
            UploaderError: As the job did.
        """
        said = self._said()
        if said is None:
            return None
        if isinstance(said, Failed):
            raise from_json(said.error)
        return request.read(said.result)

    def keep_if_sound(self) -> bool:
        """Forget the answer of an earlier run unless every file is as it was when it was made.

        Returns:
            Whether it was kept.
        """
        if isinstance(self._said(), Answer):
            with contextlib.suppress(OSError, ValueError):
                stamps = expect(parse_json((self.path / "stamps.json").read_text("utf-8")), dict)
                if all([*stamp_of(Path(name))] == seen for name, seen in stamps.items()):
                    return True
        (self.path / "answer.json").unlink(missing_ok=True)
        return False

    def news(self) -> Iterator[Progress | Warned]:
        """Yield what the job said since this was called last."""
        with contextlib.suppress(OSError), (self.path / "events.jsonl").open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read_to += len(line)
                with contextlib.suppress(ValueError):
                    message = from_line(line.decode("ascii", "replace"))
                    if isinstance(message, (Progress, Warned)):
                        yield message

    def forget(self) -> None:
        """Remove the folder, for what came of the job is written down elsewhere."""
        shutil.rmtree(self.path, ignore_errors=True)

    # -- the job's side ----------------------------------------------------------------------

    def request(self) -> JobRequest:
        """Return what shall be done.

        Raises:
            OSError: It cannot be read; this machine may not see the folder.
            ValueError: It is of another form.
        """
        request = from_line((self.path / "request.json").read_text("ascii"))
        if not isinstance(request, (RunStep, RunTogether)):
            raise ValueError("it is no step")
        return request

    def is_answered(self) -> bool:
        """Return whether it is written down what came of the job, past the caches of NFS."""
        with contextlib.suppress(OSError), os.scandir(self.path) as entries:
            deque(entries, maxlen=0)
        return (self.path / "answer.json").is_file()

    def say(self, message: Progress | Warned) -> None:
        """Tell the run something on the way; on a full disk it is not told."""
        with contextlib.suppress(OSError), (self.path / "events.jsonl").open("ab") as file:
            file.write(to_line(message).encode("ascii"))

    def give(self, request: JobRequest, result: Artifact | tuple[Artifact, ...]) -> None:
        """Write down what was made: the commit point of the job."""
        made = (result,) if isinstance(result, Artifact) else result
        stamps = {
            str(path): [*stamp_of(path)]
            for artifact in made
            for path in (artifact.path / file.name for file in artifact.files)
        }
        write_bytes(self.path / "stamps.json", json.dumps(stamps).encode("ascii"))
        answer = Answer(result=plain(Answer(result=result), request.run)["result"])
        write_bytes(self.path / "answer.json", to_line(answer).encode("ascii"))

    def fail(self, error: UploaderError) -> None:
        """Write down why nothing was made."""
        message = to_line(Failed(error=to_message(error)))
        write_bytes(self.path / "answer.json", message.encode("ascii"))

    # -- inside ------------------------------------------------------------------------------

    def _said(self) -> Answer | Failed | None:
        with contextlib.suppress(OSError, ValueError):
            said = from_line((self.path / "answer.json").read_text("ascii"))
            if isinstance(said, (Answer, Failed)):
                return said
        return None


def steps_of(request: JobRequest) -> tuple[RunStep, ...]:
    """Return the steps that a request is about."""
    return request.steps if isinstance(request, RunTogether) else (request,)


def with_steps(request: JobRequest, steps: Iterable[RunStep]) -> JobRequest:
    """Return a request with other steps in it, as many as it has."""
    changed = tuple(steps)
    return replace(request, steps=changed) if isinstance(request, RunTogether) else changed[0]


def _with_work(request: JobRequest, work: Path) -> JobRequest:
    """Return a request whose steps have their scratch folders below another one."""
    return with_steps(
        request,
        (
            replace(step, context=replace(step.context, work=work / safe_name(step.step)))
            for step in steps_of(request)
        ),
    )


def group_of(request: JobRequest) -> str:
    """Return how the names of the folders of a step's jobs begin, for these inputs and settings."""
    units = steps_of(request)[0].units
    return f"{safe_name(request.step)}-{'' if units is None else units.name[:12]}"


def withdraw(folder: JobFolder) -> None:
    """Take back a job that no run wants any more: it will find nothing to do where it starts.

    Raises:
        TemporaryError: It is at work at this moment.
    """
    if folder.path.is_dir():
        with hold(folder.lock, folder.path):
            (folder.path / "request.json").unlink(missing_ok=True)
        folder.forget()


def withdraw_all(internal: Path) -> None:
    """Take back the jobs that an earlier run left to an executor, for a run without one.

    Args:
        internal: The ``.uploader`` folder of the release.

    Raises:
        TemporaryError: One is at work, and would write beside this run.
    """
    for path in sorted((internal / FOLDER).glob("*")):
        folder = JobFolder(path)
        try:
            withdraw(folder)
        except TemporaryError as error:
            submitted = folder.submitted() or Submitted(executor="", id="")
            name = submitted.executor or "NAME"
            raise error.replace(
                what=f"job {submitted.id or path.name} of an earlier run works in this release",
                safe="it is not disturbed",
                next=f"add --executor {name} to go on with it, or cancel it there and run this "
                "command again",
            ) from error
