"""Faults to put a release through: kills at random moments and at system calls, damaged bytes.

A third party's plugin is tested as uploader's own are::

    from uploader_kit.faults import Campaign

    def test_killed_at_any_moment(tmp_path):
        campaign = Campaign(["uploader", "run", SOURCE, "--plugins", "acme", "--output", out], out)
        tally = campaign.run(kills=20, seed=1)
        assert not tally.problems

Every function works on commands and folders alone; nothing of a plugin is imported.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

INTERNAL = ".uploader"
PAGE = "report.html"
WEIGHTS = (".safetensors", ".gguf")
"""Endings of the files that are units of redo; documents and settings are made again at will."""


def digests(*folders: Path) -> dict[str, str]:
    """Return the sha256 of every file below some folders.

    Left out are records, partial files, and the page about the last run, which tells times.
    """
    return {
        f"{folder.name}/{path.relative_to(folder).as_posix()}": hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for folder in folders
        if folder.is_dir()
        for path in sorted(files_below(folder))
        if path.suffix != ".partial" and path.name != PAGE
    }


def files_below(folder: Path, *, records: bool = False) -> Iterator[Path]:
    """Yield the files below a folder, also while a worker that was left tidies up.

    Args:
        folder: Where to look.
        records: Those of the run as well.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if records or name != INTERNAL]
        yield from filter(Path.is_file, map(Path(place).joinpath, names))


def run_and_kill(
    command: Sequence[str],
    seconds: float,
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> int | None:
    """Run a command and kill -9 its process group after some seconds.

    Workers have sessions of their own and find out by themselves that their run is gone.

    Returns:
        Its exit code when it ended before, None when it was killed.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=None if environment is None else dict(environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


@dataclass(kw_only=True)
class Tally:
    """What a campaign saw.

    Attributes:
        kills: Runs that were killed.
        finished: Runs that were let finish, each compared with the undisturbed one.
        redone: Finished weight files that were made again, the most after one kill.
        problems: What must not be, in words; empty when all promises were kept.
    """

    kills: int = 0
    finished: int = 0
    redone: int = 0
    problems: list[str] = field(default_factory=list)


class Campaign:
    """Kills one command again and again and lets it go on.

    Args:
        command: A whole ``uploader run``.
        folders: What it writes: the release, and the target of ``dir:`` where there is one. They
            must not exist yet, and are removed between rounds.
        cwd: Working directory of the command.
        environment: Its variables.
        places: Weight files that it makes at a time; so many may be made again after a kill.
    """

    def __init__(
        self,
        command: Sequence[object],
        *folders: Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        places: int = 1,
    ) -> None:
        self.places = places
        self.command = [str(part) for part in command]
        self.folders = folders
        self.cwd = cwd
        self.environment = environment
        self.calm, self.seconds = self._undisturbed()

    def run(self, *, kills: int, seed: int) -> Tally:
        """Kill at uniformly random moments of the undisturbed run's time.

        A killed run is started again and may be killed again; one that gets through is compared
        with the undisturbed release, and the next one starts from nothing.
        """
        chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        tally = Tally()
        whole: dict[str, int] = {}
        while tally.kills < kills:
            moment = chance.uniform(0, self.seconds)
            started = time.monotonic()
            code = self._launch(moment)
            if code is None:
                tally.kills += 1
                whole = self._check(tally, whole, f"killed after {moment:.3f} s")
            else:
                if not whole:  # the first one may have had a busy machine
                    self.seconds = min(self.seconds, time.monotonic() - started)
                self._finish(tally, whole, code)
                whole = {}
        self._finish(tally, whole, self._launch(3600))
        return tally

    def after_fault(self, tally: Tally, what: str) -> None:
        """Check what a fault of another kind left, then let the command finish and compare."""
        whole = self._check(tally, {}, what)
        self._finish(tally, whole, self._launch(3600), what)

    def clear(self) -> None:
        """Remove everything that the command wrote."""
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _launch(self, seconds: float) -> int | None:
        return run_and_kill(self.command, seconds, cwd=self.cwd, environment=self.environment)

    def _undisturbed(self) -> tuple[dict[str, str], float]:
        started = time.monotonic()
        if self._launch(3600) != 0:
            raise AssertionError(f"the undisturbed run fails: {' '.join(self.command)}")
        seconds = time.monotonic() - started
        calm = digests(*self.folders)
        self.clear()
        return calm, seconds

    def _check(self, tally: Tally, before: Mapping[str, int], what: str) -> dict[str, int]:
        """Compare what has a final name with the undisturbed run; return the whole weight files."""
        found = digests(*self.folders)
        for name, digest in found.items():
            # The manifest says which steps are done, and so differs until all are.
            if digest != self.calm.get(name) and not name.endswith("/upload_manifest.json"):
                tally.problems.append(f"{what}: {name} is not what it should be")
        whole = {}
        for folder in self.folders:
            for path in files_below(folder):
                name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
                if name in found and path.suffix in WEIGHTS:
                    whole[name] = path.stat().st_ino
        redone = [name for name, inode in before.items() if whole.get(name) != inode]
        tally.redone = max(tally.redone, len(redone))
        if len(redone) > self.places:
            tally.problems.append(f"{what}: {', '.join(redone)} made twice")
        return whole

    def _finish(
        self, tally: Tally, before: Mapping[str, int], code: int | None, what: str = "run again"
    ) -> None:
        tally.finished += 1
        if code != 0:
            tally.problems.append(f"{what}: exit code {code}")
        self._check(tally, before, what)
        found = digests(*self.folders)
        if found != self.calm:
            wrong = sorted(n for n in {*found, *self.calm} if found.get(n) != self.calm.get(n))
            tally.problems.append(f"{what}: the release differs in {', '.join(wrong)}")
        left = [str(p) for folder in self.folders for p in folder.rglob("*.partial")]
        if left:
            tally.problems.append(f"{what}: left behind {', '.join(left)}")
        self.clear()


# -- system calls -----------------------------------------------------------------------------

COMMIT_CALLS = (
    "openat", "write", "fsync", "fdatasync", "chmod", "fchmodat", "close",
    "rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir",
)  # fmt: skip
"""System calls by which files come to be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """The n-th call of a name in a process, from 1."""

    name: str
    number: int


def calls_after(
    command: Sequence[str],
    marker: str,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
) -> list[Call]:
    """Trace an undisturbed, single-threaded command and list its commit calls after a marker.

    Args:
        command: What is run.
        marker: A file name that the command opens where the window begins.
        log: For the trace.
        environment: Its variables; the same ones must be given to :func:`kill_at_call`.
    """
    subprocess.run(
        ["strace", "-o", str(log), "-e", f"trace={_known()}", *command],  # noqa: S607
        check=True,
        env=None if environment is None else dict(environment),
        capture_output=True,
    )
    counts: dict[str, int] = {}
    found = []
    inside = False
    for line in log.read_text("utf-8", errors="replace").splitlines():
        match = re.match(r"(\w+)\(", line)
        if match is None:
            continue
        name = match.group(1)
        counts[name] = counts.get(name, 0) + 1
        if inside:
            found.append(Call(name=name, number=counts[name]))
        inside = inside or marker in line
    return found


def kill_at_call(
    command: Sequence[str],
    call: Call,
    *,
    children: bool = False,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> bool:
    """Run a command and kill -9 it as it enters a system call.

    Args:
        children: Also kill every child process that makes this call as often.

    Returns:
        Whether it was killed, or a child of it: otherwise it made fewer such calls.
    """
    follow = ["-f"] if children else []
    trace = [f"trace={call.name}", f"inject={call.name}:signal=KILL:when={call.number}"]
    result = subprocess.run(
        ["strace", *follow, "-e", trace[0], "-e", trace[1], *command],  # noqa: S607
        env=None if environment is None else dict(environment),
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="replace",
    )
    # A call without a result is the one that was entered: a run ends its idle workers by the same
    # signal, and those are in no such call.
    return re.search(rf"\b{call.name}\b.*\) += \?", result.stderr) is not None


def _known() -> str:
    # A leading ? lets strace accept names that this machine's processor does not have.
    return ",".join(f"?{name}" for name in COMMIT_CALLS)


# -- damage -----------------------------------------------------------------------------------


def flip_byte(path: Path, chance: random.Random) -> int:
    """Change one byte of a file, keeping its size and its times; return where."""
    stat = path.stat()
    place = chance.randrange(stat.st_size)
    with path.open("r+b") as handle:
        handle.seek(place)
        old = handle.read(1)[0]
        handle.seek(place)
        handle.write(bytes([old ^ chance.randrange(1, 256)]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return place


def damage(path: Path, chance: random.Random) -> Iterator[str]:
    """Damage one file in one of the ways in which disks, copies and people do.

    Yields:
        Once, what was done. The file is as it was afterwards.
    """
    data = path.read_bytes()
    way = chance.choice(("flip", "truncate", "empty", "zeros", "surplus", "head"))
    if way == "flip":
        place = flip_byte(path, chance)
        told = f"byte {place} of {path.name} flipped"
    else:
        cut = chance.randrange(len(data)) if data else 0
        changed = {
            "truncate": data[:cut],
            "empty": b"",
            "zeros": data[:cut] + bytes(len(data) - cut),
            "surplus": data + b"\0" * (1 + cut % 64),
            "head": chance.randbytes(min(16, len(data))) + data[16:],
        }[way]
        path.write_bytes(changed)
        told = f"{path.name}: {way} at {cut}"
    try:
        yield told
    finally:
        path.write_bytes(data)
