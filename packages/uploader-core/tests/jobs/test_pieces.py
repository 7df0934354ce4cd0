"""A step whose work splits is made by several workers, and comes out as by one."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steady import STEADY
from uploader_core.contract.costs import Piece
from uploader_core.jobs.pieces import LEAST_VARIABLE, MOST, group
from uploader_kit.faults import digests
from uploader_kit.job_runs import until


@STEADY
@given(
    sizes=st.lists(st.integers(0, 3 * MOST), max_size=40),
    jobs=st.integers(1, 9),
    least=st.integers(1, MOST),
)
def test_every_piece_is_in_one_group_in_its_order(sizes: list[int], jobs: int, least: int) -> None:
    pieces = [Piece(name=str(n), size=size) for n, size in enumerate(sizes)]
    groups = group([pieces], jobs, least)
    assert len(groups) != 1
    assert all(names for (names,) in groups)
    if groups:
        assert [name for (names,) in groups for name in names] == [p.name for p in pieces]


def test_groups_are_about_as_large_as_each_other() -> None:
    pieces = [Piece(name=str(n), size=MOST // 2) for n in range(8)]
    assert [len(names) for (names,) in group([pieces], 2)] == [2, 2, 2, 2]


def test_pieces_of_steps_that_one_call_makes_stay_together() -> None:
    coarse = [Piece(name=f"a{n}", size=MOST) for n in range(2)]
    fine = [Piece(name=f"b{n}", size=MOST // 2) for n in range(4)]
    assert group([coarse, fine], 2) == [(("a0",), ("b0", "b1")), (("a1",), ("b2", "b3"))]


@pytest.mark.parametrize("sizes", [[], [10], [1000, 1000]])
def test_little_work_is_not_split(sizes: list[int]) -> None:
    assert group([[Piece(name=str(n), size=size) for n, size in enumerate(sizes)]], 8) == []


def workers_of(log: Path) -> dict[str, list[str]]:
    """Return the processes that made each block, in the order in which they began."""
    made: dict[str, list[str]] = {}
    for line in log.read_text().splitlines():
        name, _, pid = line.partition(" ")
        made.setdefault(name, []).append(pid)
    return made


@pytest.fixture
def blocks(uploader: Any, blocks_plugin: None, adapter: Path, tmp_path: Path) -> Any:
    """The command, with a log of who made which block, and a division of every byte."""
    uploader.environment |= {LEAST_VARIABLE: "1", "ACME_LOG": str(tmp_path / "log")}
    return uploader


def test_jobs_share_the_pieces_and_the_files_are_the_same(
    blocks: Any, adapter: Path, tmp_path: Path
) -> None:
    for name, jobs in (("one", 1), ("two", 2)):
        result = blocks("run", adapter, "--plugins", "blocks", "--name", "m", "--output",
                        tmp_path / name, "--jobs", jobs)  # fmt: skip
        assert result.returncode == 0, result.stderr
    made = workers_of(tmp_path / "log")
    assert [len(pids) for pids in made.values()] == [2] * 4  # once in each run
    assert len({pids[0] for pids in made.values()}) == 1
    assert len({pids[1] for pids in made.values()}) == 2
    assert digests(tmp_path / "one" / "acme.blocks") == digests(tmp_path / "two" / "acme.blocks")


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX'")
def test_only_the_pieces_of_a_worker_that_was_killed_are_made_again(
    blocks: Any, adapter: Path, tmp_path: Path
) -> None:
    blocks.environment["ACME_WAIT_FOR"] = str(tmp_path / "go")
    argv = blocks.argv("run", adapter, "--plugins", "blocks", "--name", "m", "--jobs", 2)
    process = subprocess.Popen(argv, env=blocks.variables(), stdout=subprocess.DEVNULL)
    log = tmp_path / "log"
    until(lambda: log.is_file() and "\n" in log.read_text(), 600, "block 0 is not begun")
    (pid,) = workers_of(log)["block-0.bin"]
    os.kill(int(pid), signal.SIGKILL)
    (tmp_path / "go").touch()
    assert process.wait(timeout=600) != 0
    assert blocks("run", adapter, "--plugins", "blocks", "--name", "m", "--jobs", 2).returncode == 0
    made = workers_of(log)
    assert [len(made[f"block-{n}.bin"]) for n in (2, 3)] == [1, 1]
