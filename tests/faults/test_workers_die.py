"""A merge of 165 shards by jobs that die, submitted by two runs: every shard is committed once."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from held_files import HeldFiles
from sparse_models import Shape, write_fine_tune
from uploader_core.destinations.verify import verify_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX'")

LAYER = 2 * (4 * 256 * 256 + 3 * 256 * 1024 + 2 * 256)
"""Bytes of a layer, which is a shard."""


def shape(shards: int) -> Shape:
    """Return a model that makes so many shards: its layers, its embedding and its head."""
    return Shape(LAYER // 512 - 1, 256, 1024, shards - 2, 4, 4)


@dataclass
class Killer(threading.Thread):
    """Kills jobs of a release with all that they started, and watches its shards.

    Attributes:
        release: The folder.
        deaths: Part of the jobs that die, once.
        seed: Of the choice of victims.
        held: The shards; they wait for the first death, so that no victim is through before.
        killed: How many died.
        inodes: By shard, the files that had its name.
    """

    release: Path
    deaths: float
    seed: int
    held: HeldFiles
    killed: int = 0
    inodes: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._over = threading.Event()
        self._random = random.Random(self.seed)
        self._fates: dict[str, tuple[int, int | None]] = {}

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self._over.wait(0.02):
            self.look()

    def stop(self) -> None:
        self._over.set()
        self.join()
        self.look()

    def look(self) -> None:
        for path in self.release.glob("merged-16bit/*.safetensors"):
            self.inodes[path.name].add(path.stat().st_ino)
        for card in self.release.glob(".uploader/jobs/*/lock.json"):
            with suppress(OSError, ValueError):
                self._meet(card.parent.name, json.loads(card.read_text())["pid"])

    def _meet(self, job: str, pid: int) -> None:
        """Decide once whether a job dies, and after how many looks; then kill it."""
        if job not in self._fates:
            dies = self._random.random() < self.deaths or not self._fates
            self._fates[job] = (pid, self._random.randrange(100) if dies else None)
        first, left = self._fates[job]
        if first == pid and left is not None:
            if left == 0:
                os.killpg(pid, signal.SIGKILL)
                self.killed += 1
                self.held.let_go()
            self._fates[job] = (pid, left - 1 if left else None)


def submitted_again(release: Path) -> int:
    """Count the jobs that were submitted once more."""
    return len(re.findall("is submitted again", (release / ".uploader/events.jsonl").read_text()))


@pytest.mark.parametrize(
    ("shards", "jobs", "deaths"), [(5, 2, 0.4), pytest.param(165, 4, 0.1, marks=pytest.mark.slow)]
)
def test_every_shard_is_committed_once(
    uploader: Any, tmp_path: Path, shards: int, jobs: int, deaths: float
) -> None:
    adapter = write_fine_tune(tmp_path / "tune", shape(shards), adapter_seed=1)
    release = tmp_path / "release"
    held = HeldFiles(tmp_path / "held", r"/merged-16bit/.*\.safetensors$", free=0)
    uploader.environment |= {"UPLOADER_LEAST_PIECE": "1", "UPLOADER_MOST_PIECE": str(LAYER)}
    argv = uploader.argv("run", adapter, "--plugins", "merged-16bit", "--name", "m", "--yes",
                         "--merged-shard-size", f"{LAYER}B", "--output", release,
                         "--executor", "local", "--jobs", jobs)  # fmt: skip
    killer = Killer(release, deaths, seed=21, held=held)
    killer.start()
    drivers = [
        subprocess.Popen(argv, env=held.variables(uploader.variables()), stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]  # fmt: skip
    said = [driver.communicate()[0] for driver in drivers]
    killer.stop()
    assert [driver.returncode for driver in drivers] == [0, 0], said
    assert len(killer.inodes) == shards
    assert {len(inodes) for inodes in killer.inodes.values()} == {1}
    again = submitted_again(release)
    print(f"{shards} shards: {killer.killed} jobs killed, {again} submitted again")
    assert 0 < again <= killer.killed <= 1.5 * deaths * shards
    assert verify_folder(release).problems == ()
