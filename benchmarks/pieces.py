"""Predict how long a merge takes from its size, its shards and its workers, and measure it.

    python benchmarks/pieces.py --work /tmp/bench --shape 3b --shards 1,2,4,8 --workers 1,2

The model is that of docs/how-to/large-models.md. Two runs say what the bytes cost on this storage,
one worker alone and so many with a shard each; what a further round of workers costs is measured
with a smaller model; the rest is predicted. Each run is a whole process, ``uploader run`` of
merged-16bit alone, without the page cache being emptied. With ``--executor local`` the workers are
jobs.

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
from pathlib import Path
from typing import NamedTuple

from merge_speed import SHAPES, make

EACH_SHARD = {"UPLOADER_LEAST_PIECE": "1", "UPLOADER_MOST_PIECE": "1"}
"""Variables with which every shard is made by itself."""

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


class Run(NamedTuple):
    """What decides how long a merge takes.

    Attributes:
        shards: Of about the same size; each is a group of its own.
        workers: Side by side.
    """

    shards: int
    workers: int

    @property
    def rounds(self) -> int:
        """Groups of the worker that has most of them."""
        return -(-self.shards // self.workers)


def take(shape: str, arguments: argparse.Namespace, shards: int, workers: int) -> tuple[Run, float]:
    """Merge a model, and return what was done and the seconds that it took."""
    base, adapter = make(shape, arguments.work)
    release, size = arguments.work / "release", weights(base)
    argv = [
        sys.executable, "-m", "uploader_core", "run", str(adapter), "--base", str(base),
        "--plugins", "merged-16bit", "--name", "bench", "--output", str(release), "--yes",
        "--quiet", "--merged-shard-size", f"{-(-size // shards) + size // 50}B",
        "--jobs", str(workers),
    ]  # fmt: skip
    if arguments.executor:
        argv += ["--executor", arguments.executor]
    walls = []
    for _ in range(arguments.rounds):
        shutil.rmtree(release, ignore_errors=True)
        started = time.perf_counter()
        done = subprocess.run(argv, capture_output=True, text=True, env=os.environ | EACH_SHARD)
        walls.append(time.perf_counter() - started)
        if done.returncode:
            raise SystemExit(done.stderr[-4000:])
    made = len([*(release / "merged-16bit").glob("*.safetensors")])
    shutil.rmtree(release)
    return Run(made, workers), statistics.median(walls)


def weights(folder: Path) -> int:
    """Return the bytes of a folder's weight files."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def compare(arguments: argparse.Namespace) -> None:
    numbers = [int(number) for number in arguments.workers.split(",")]
    for shape in ("0.5b", arguments.shape):
        take(shape, arguments, 1, 1)  # what is proved of a model is remembered
    _, alone = take(arguments.shape, arguments, 1, 1)
    worst = 0.0
    for workers in numbers:
        together, start = alone, 0.0
        if workers > 1:
            _, together = take(arguments.shape, arguments, workers, workers)
            few, more = (take("0.5b", arguments, n * workers, workers) for n in (1, 2))
            start = max(0.0, more[1] - few[1]) / (more[0].rounds - few[0].rounds)
        print(
            f"{workers} workers: {together:.1f} s, {start:.2f} s for each further round", flush=True
        )
        for shards in map(int, arguments.shards.split(",")):
            run, took = take(arguments.shape, arguments, shards, workers)
            divided = workers > 1 and run.shards > 1
            said = together + start * (run.rounds - 1) if divided else alone
            worst = max(worst, abs(said / took - 1))
            print(f"{workers} workers, {run.shards} shards: predicted {said:.1f} s, "
                  f"took {took:.1f} s, {100 * (said / took - 1):+.0f} %", flush=True)  # fmt: skip
    print(f"largest error {100 * worst:.0f} % (goal 20)")


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
