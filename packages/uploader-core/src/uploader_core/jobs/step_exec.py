"""What a job does on the machine that an engine gave it: ``uploader step exec FOLDER``."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from uploader_core.errors import CancelledError, PluginError, SourceError, UploaderError
from uploader_core.jobs.job_folder import JobFolder, JobRequest, steps_of
from uploader_core.machine.folder_lock import Owner, hold
from uploader_core.plugins.entry_points import PLUGINS
from uploader_core.user_config.disabled import make_registry
from uploader_core.workers.messages import Progress, Request, Warned
from uploader_core.workers.pool import Workers

_PROGRESS = 0.5
"""Seconds between two lines that say how far it is."""


class _AnsweredError(Exception):
    """Another machine did the job meanwhile."""


def exec_step(path: Path, environment: Mapping[str, str] = os.environ) -> int:
    """Do what the folder of a job says, unless it is done, and write down what came of it.

    Any number of machines may be told to: one does it, and the others wait and find it done. When
    one is ended in the middle, the next that is told goes on with the files that were finished.

    Args:
        path: The folder of the job.
        environment: Variables; those that look like secrets are not handed on.

    Returns:
        0 when the job has an answer, whoever gave it.

    Raises:
        SourceError: This machine does not see the folder, or the job was withdrawn.
        CancelledError: The engine ended the job; another one may go on with it.
    """
    folder = JobFolder(path)
    if not path.is_dir():
        raise SourceError(
            f"this machine sees no folder {path}",
            owner="the executor's choice of machines",
            safe="nothing was done",
            next="put the release on a file system that all machines see, by --output",
        )
    with contextlib.suppress(_AnsweredError), hold(folder.lock, path, wait=_unless(folder)):
        if folder.is_answered():
            return 0
        try:
            request = folder.request()
        except (OSError, ValueError) as error:
            raise SourceError(
                f"the job in {path} was withdrawn, or cannot be read: {error}",
                safe="nothing was done",
                next="run `uploader run` again; it submits what is still to be done",
            ) from error
        _do(folder, request, environment)
    return 0


def _do(folder: JobFolder, request: JobRequest, environment: Mapping[str, str]) -> None:
    workers = Workers(environment, folder.path)
    last = 0.0

    def emit(message: Progress | Warned) -> None:
        nonlocal last
        now = time.monotonic()
        if isinstance(message, Warned) or now - last >= _PROGRESS or message.done == message.total:
            last = now
            folder.say(message)

    shutil.rmtree(folder.work, ignore_errors=True)
    for step in steps_of(request):
        step.context.work.mkdir(parents=True)
    try:
        with _ended_by_signals(workers):
            check_plugins(request)
            made = workers.perform(cast("Request[Any]", request), emit)
        folder.give(request, made)
    except CancelledError:
        raise
    except UploaderError as error:
        folder.fail(error)
    finally:
        shutil.rmtree(folder.work, ignore_errors=True)


def check_plugins(request: JobRequest) -> None:
    """Refuse to do with one version of a plugin what was planned with another one.

    What a folder says shall be called is called only if a plugin that is installed here registers
    it: a folder may be from somebody else.

    Raises:
        PluginError: Another version is installed here, none, or one that registers no such step.
    """
    registry = make_registry()
    plugins = [entry for entry in registry.entries if entry.group == PLUGINS]
    for step in steps_of(request):
        name, _, version = step.owner.partition(" ")
        mine = [entry for entry in plugins if entry.distribution == name]
        runs = {s.run for e in mine if e.version == version for s in registry.load(e.name).specs}
        if step.run not in runs:
            here = ", ".join(sorted({entry.version for entry in mine})) or "none"
            raise PluginError(
                f"{step.step} was planned with {step.owner}; {socket.gethostname()} has {here}"
                if here != version
                else f"{step.owner} registers no step that runs {step.run}",
                owner="the environment of the jobs, or whoever wrote the folder",
                safe="nothing was made",
                next=f'there: pip install "{name}=={version}"',
            )


def _unless(folder: JobFolder) -> Callable[[Owner | None], None]:
    def wait(_: Owner | None) -> None:
        if folder.is_answered():
            raise _AnsweredError

    return wait


@contextlib.contextmanager
def _ended_by_signals(workers: Workers) -> Iterator[None]:
    """Let the engine end the job: what is finished stays, and no process is left behind."""

    def end(*_: object) -> NoReturn:
        workers.kill()
        raise CancelledError("the executor ended the job", safe="every finished file is kept")

    before = {}
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            with contextlib.suppress(ValueError):  # not the main thread: nobody signals that one
                before[name] = signal.signal(getattr(signal, name), end)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)
