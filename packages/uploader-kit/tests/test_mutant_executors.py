"""Executors that break one rule each, and what the kit says of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kit_plugins import told
from uploader_kit import ExecutorConformance

pytestmark = pytest.mark.usefixtures("home")

PLUGIN = """
from uploader_core.plugin import ExecutorSpec, hookimpl

@hookimpl
def uploader_executors():
    yield ExecutorSpec(name="{name}", summary="x", run="acme_{name}_work:open_executor",
                       remote=False)
"""
# Core's own executor, spoilt: a method is replaced.
WORK = """
import os, pathlib, signal
from dataclasses import replace
from uploader_core.builtin.local_executor import LocalExecutor, _Known
from uploader_core.executor import JobStatus
from uploader_core.plugin import RefusedError

def folder_of(id):
    return _Known.of(id).folder

class Mutant(LocalExecutor):
{body}

def open_executor(context):
    return Mutant(context.jobs or 1)
"""
SUBMIT = "def submit(self, job): "
POLL = "def poll(self, ids):\n        found = super().poll(ids)\n        "
# What it does wrong, the check that says so, and words of its sentence.
SUCCEEDS, FAILS = "job that succeeds gives its files", "command that fails is told"
ERROR, KILLED = "error of a step arrives as it is", "killed job is replaced"
DRIVER, CANCEL = "run that was killed finds its jobs", "cancelled run leaves nothing running"
SLOW, TWICE = "job that takes too long is ended", "job that is submitted twice is done once"
TWO, HUGE = "two runs of one plan share the work", "impossible resources are refused with a reason"
MANY, SECRET = "many jobs run at most two at once", "no secret reaches a job"
LOGS, STORE = "last lines of a job can be read", "store that goes away is told"
MUTANTS = {
    "idles": (
        SUBMIT + "return super().submit(replace(job, argv=('true',)))",
        SUCCEEDS,
        "with nothing in its way, the run ends with exit code",
    ),
    "rosy": (
        POLL + "return {i: s if s.state == 'running' else JobStatus(state='ended')"
        " for i, s in found.items()}",
        FAILS,
        "poll() says 'ended' of a command that returned 3",
    ),
    "gloomy": (
        POLL + "return {i: s if s.state == 'running' else JobStatus(state='failed')"
        " for i, s in found.items()}",
        FAILS,
        "poll() says 'failed' of a command that returned 0",
    ),
    "interprets": (
        POLL + "if any((folder_of(i) / 'answer.json').exists() for i in ids):\n"
        "            raise RefusedError('a job failed', next='see its log')\n"
        "        return found",
        ERROR,
        "the error of the step says 'the moon is in the wrong quarter', the run does not",
    ),
    "stops": (
        POLL + "if any(s.state == 'failed' for s in found.values()):\n"
        "            raise RefusedError('a job failed', next='see its log')\n"
        "        return found",
        KILLED,
        "when a job and its worker were killed, the run ends with exit code 4",
    ),
    "forgets": (
        POLL + "return {i: s if i in self._own else JobStatus(state='gone')"
        " for i, s in found.items()}",
        DRIVER,
        "is told gone: an id has to mean the same everywhere",
    ),
    "deaf": ("def cancel(self, ids): pass", CANCEL, "can still be running"),
    "halfway": (
        "def cancel(self, ids): [os.kill(_Known.of(i).pid, signal.SIGKILL) for i in ids]",
        CANCEL,
        "can still be running",
    ),
    "patient": (
        SUBMIT + "return super().submit(replace(job, resources=replace(job.resources,"
        " seconds=None)))",
        SLOW,
        "of a job that should be ended or failed",
    ),
    "silent": (
        POLL + "return {i: replace(s, what='') for i, s in found.items()}",
        SLOW,
        "poll() does not say why it was ended",
    ),
    "blind": ("def find(self, job): return None", TWICE, "find() of another process gives nothing"),
    "jealous": (
        "def __init__(self, places):\n        super().__init__(places)\n"
        "        self.mine = pathlib.Path(__file__ + '.lock')\n"
        "        if self.mine.exists(): raise RefusedError('in use', next='wait')\n"
        "        self.mine.touch()\n"
        "    def close(self): self.mine.unlink()",
        TWO,
        "as the second run of the same plan, the run ends with exit code 4",
    ),
    "greedy": ("def check(self, resources): return ()", HUGE, "a job would wait for ever"),
    "curt": (
        "def check(self, resources): return ['no'] if resources.memory else ()",
        HUGE,
        "name what is asked, what there is, and what to change",
    ),
    "picky": ("def check(self, resources): return ['too large']", HUGE, "asks for one processor"),
    "generous": (
        "def __init__(self, places): super().__init__(50)",
        MANY,
        "`places` is 50 where the user said --jobs 2",
    ),
    "lossy": (
        SUBMIT + "return super().submit(replace(job, argv=('true',))"
        " if job.key.endswith('7') else job)",
        MANY,
        "45 of 50 jobs were done",
    ),
    "bequeaths": (
        SUBMIT + "return super().submit(replace(job, environment={**os.environ}))",
        SECRET,
        "give a job job.environment and no more",
    ),
    "scribbles": (
        SUBMIT + "(job.folder / 'job.sh').write_text(str({**os.environ})); "
        "return super().submit(job)",
        SECRET,
        "a token of the run is in .uploader",
    ),
    "mute": ("def logs(self, id, lines): return ''", LOGS, "logs() of the last 3 lines gives ''"),
    "wordy": (
        "def logs(self, id, lines): return super().logs(id, 10 * lines)",
        LOGS,
        "logs() of the last 3 lines gives '71",
    ),
    "brittle": (
        POLL + "[folder_of(i).stat() for i in ids]; return found",
        STORE,
        "poll() raises FileNotFoundError",
    ),
    "stubborn": (
        POLL + "return {i: s if folder_of(i).is_dir() else JobStatus(state='running')"
        " for i, s in found.items()}",
        STORE,
        "the run does not end",
    ),
}


# Of these, what is missing is seen by waiting for it.
LONG = {"stubborn", "halfway", "deaf", "patient"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LONG else ()) for n in MUTANTS]
)
def test_wrong_executor_is_told_its_rule(install: Callable[..., None], name: str) -> None:
    body, check, words = MUTANTS[name]
    assert words in told(executor(install, name, body), check)


def test_method_that_does_not_return_is_told(install: Callable[..., None]) -> None:
    case = executor(install, "hangs", "def poll(self, ids): signal.pause()")
    assert "poll() had not returned after 3 s" in told(case, FAILS)


def executor(install: Callable[..., None], name: str, body: str) -> type[ExecutorConformance]:
    """Install an executor, and return its class on the kit."""
    module = f"acme_{name}"
    install(
        f"acme-{name}",
        {
            module: PLUGIN.format(name=name),
            f"{module}_work": WORK.replace("{body}", f"    {body}"),
        },
        {"plugins": {name: module}, "executors": {name: module}},
        requires="uploader-core>=0.1,<1",
    )
    # Short where that is what is seen; a sound one may be slow on a busy machine.
    limits = {"patience": 3.0, "limit": 10.0} if name in {*LONG, "hangs"} else {}
    return type("X", (ExecutorConformance,), {"plugin": name, **limits})
