"""Predict how long a merge takes from its size, its shards and its workers, and measure it.

    python benchmarks/pieces.py --work /tmp/bench --shape 3b --shards 1,2,4,8 --workers 1,2

The model is that of docs/how-to/large-models.md: fixed seconds of a run, seconds for each byte with
so many workers, and the largest share of one of them. Its numbers come from two smaller models;
what is predicted is the larger one. Each run is a whole process, ``uploader run`` of merged-16bit
alone, without the page cache being emptied. With ``--executor local`` the workers are jobs.

``--overhead N`` measures instead what a step costs more as a job than in a worker of the run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from merge_speed import SHAPES, make

PLUGIN = """
from uploader_core.plugin import SaveSpec, hookimpl

@hookimpl
def uploader_savers():
    for n in range({steps}):
        yield SaveSpec(name=f"s{{n}}", summary="a step of nothing", consumes=("adapter",),
                       produces=f"bench.s{{n}}", run="uploader_bench:make")

def make(context):
    context.output.write("x.txt", "x")
    return context.artifact()
"""


@dataclass(frozen=True)
class Cost:
    """What runs with so many workers cost on this machine.

    Attributes:
        fixed: Seconds of a run, whatever the model.
        per_byte: Seconds for each byte of the result, all workers together.
    """

    fixed: float
    per_byte: float

    def seconds(self, nbytes: int, shards: int, workers: int) -> float:
        """Predict the wall time of a run.

        Args:
            nbytes: Of the result.
            shards: Of about the same size.
            workers: Side by side.
        """
        groups = min(workers, shards)
        largest = -(-shards // groups) / shards  # share of the worker that has most to do
        return self.fixed + self.per_byte * nbytes * largest * groups


def run(adapter: Path, base: Path, release: Path, shards: int, more: Iterable[str]) -> float:
    """Merge once and return the seconds that it took."""
    shutil.rmtree(release, ignore_errors=True)
    size = weights(base)
    argv = [
        sys.executable, "-m", "uploader_core", "run", str(adapter), "--base", str(base),
        "--plugins", "merged-16bit", "--name", "bench", "--output", str(release), "--yes",
        "--quiet", "--merged-shard-size", f"{-(-size // shards) + (size // 50)}B", *more,
    ]  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    return time.perf_counter() - started


def weights(folder: Path) -> int:
    """Return the bytes of a folder's weight files."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def calibrate(work: Path, workers: int, more: list[str], rounds: int) -> Cost:
    """Measure two small models, and return the line through them."""
    points = []
    for shape in ("tiny", "0.5b"):
        base, adapter = make(shape, work)
        shards = 1 if shape == "tiny" else workers
        walls = [run(adapter, base, work / "release", shards, more) for _ in range(rounds)]
        points.append((weights(base), statistics.median(walls)))
    (small, quick), (large, slow) = points
    per_byte = (slow - quick) / (large - small)
    return Cost(fixed=quick - per_byte * small, per_byte=per_byte)


def options(workers: int, executor: str | None) -> list[str]:
    """Return the options of a run with so many workers."""
    return ["--jobs", str(workers), *(["--executor", executor] if executor else [])]


def compare(arguments: argparse.Namespace) -> None:
    base, adapter = make(arguments.shape, arguments.work)
    release = arguments.work / "release"
    worst = 0.0
    numbers = [int(number) for number in arguments.workers.split(",")]
    costs = {}
    for workers in sorted({1, *numbers}):
        cost = costs[workers] = calibrate(
            arguments.work, workers, options(workers, arguments.executor), arguments.rounds
        )
        print(f"{workers} workers: {cost.fixed:.2f} s, {1e-9 / cost.per_byte:.2f} GB/s", flush=True)
    for workers in numbers:
        for shards in map(int, arguments.shards.split(",")):
            more = options(workers, arguments.executor)
            walls = [run(adapter, base, release, shards, more) for _ in range(arguments.rounds)]
            made = len([*(release / "merged-16bit").glob("*.safetensors")])
            cost = costs[min(workers, made)]
            said, took = cost.seconds(weights(base), made, workers), statistics.median(walls)
            worst = max(worst, abs(said / took - 1))
            print(f"{workers} workers, {made} shards: predicted {said:.1f} s, took {took:.1f} s, "
                  f"{100 * (said / took - 1):+.0f} %", flush=True)  # fmt: skip
    print(f"largest error {100 * worst:.0f} % (goal 20)")
    shutil.rmtree(release, ignore_errors=True)


def overhead(arguments: argparse.Namespace) -> None:
    """Compare a run of steps of nothing in workers with one in jobs."""
    site = arguments.work / "site"
    info = site / "uploader_bench-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    steps = arguments.overhead
    (site / "uploader_bench.py").write_text(PLUGIN.format(steps=steps))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: uploader-bench\nVersion: 1.0\n")
    kinds = "".join(f"bench.s{n} = uploader_bench\n" for n in range(steps))
    (info / "entry_points.txt").write_text(
        f"[uploader_core.plugins]\nbench = uploader_bench\n[uploader_core.artifacts]\n{kinds}"
    )
    os.environ["PYTHONPATH"] = str(site)
    _, adapter = make("tiny", arguments.work)
    walls = {}
    for name, more in (("workers", []), ("jobs", ["--executor", "local", "--jobs", "1"])):
        release = arguments.work / "release"
        found = []
        for _ in range(arguments.rounds):
            shutil.rmtree(release, ignore_errors=True)
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "uploader_core", "run", str(adapter), "--plugins", "bench",
                 "--output", str(release), "--yes", "--quiet", *more],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            found.append(time.perf_counter() - started)
        walls[name] = statistics.median(found)
        print(f"{steps} steps in {name}: {walls[name]:.2f} s", flush=True)
    each = (walls["jobs"] - walls["workers"]) / steps
    print(f"a job costs {each:.2f} s more than a worker (goal 2)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="3b")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shards", default="1,2,4,8")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--executor")
    parser.add_argument("--overhead", type=int, metavar="STEPS")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    (overhead if arguments.overhead else compare)(arguments)


if __name__ == "__main__":
    main()
