"""Predict how long a merge takes from its size, its shards and its workers, and measure it.

    python benchmarks/pieces.py --work /tmp/bench --shape 3b --shards 1,2,4,8 --workers 1,2

The model is that of docs/how-to/large-models.md: fixed seconds of a run, some for each tensor and
for each byte with so many workers, and the largest share of one of them. Its numbers come from
three smaller models; what is predicted is a larger one. Each run is a whole process, ``uploader
run`` of merged-16bit alone, without the page cache being emptied. With ``--executor local`` the
workers are jobs.

``--overhead N`` measures instead what a step costs more as a job than in a worker of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from merge_speed import SHAPES, make

from uploader_core.disk.safe_write import hash_file

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
        tensors: Of the result.
        nbytes: Of the result.
        shards: Of about the same size; each is a group of its own.
        workers: Side by side.
    """

    tensors: int
    nbytes: int
    shards: int
    workers: int

    @property
    def row(self) -> list[float]:
        """What is multiplied with the numbers of :class:`Cost`."""
        divided = self.workers > 1 and self.shards > 1
        rounds = -(-self.shards // self.workers)  # of the busiest worker
        bytes_of_one = self.nbytes * rounds / self.shards if divided else self.nbytes
        return [1.0, self.nbytes, self.tensors, rounds if divided else 0, bytes_of_one]


class Cost(NamedTuple):
    """What runs with so many workers cost on this machine.

    Attributes:
        fixed: Seconds of a run, whatever the model.
        hashed: Seconds for each byte of the base, which the run itself hashes first.
        tensor: Seconds for each tensor: its low-rank product, and the comparison at the end.
        start: Seconds for a worker to begin with a group.
        byte: Seconds for each byte that a worker makes, while all of them do.
    """

    fixed: float
    hashed: float
    tensor: float
    start: float
    byte: float

    def seconds(self, run: Run) -> float:
        """Predict the wall time of a run."""
        return sum(a * b for a, b in zip(self, run.row, strict=True))


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
    files = [*(release / "merged-16bit").glob("*.safetensors")]
    tensors = sum(len(headers(file)) for file in files)
    shutil.rmtree(release)
    return Run(tensors, size, len(files), workers), statistics.median(walls)


def headers(file: Path) -> list[str]:
    """Return the names of the tensors in a file."""
    with file.open("rb") as handle:
        data = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    return [name for name in data if name != "__metadata__"]


def weights(folder: Path) -> int:
    """Return the bytes of a folder's weight files."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def calibrate(arguments: argparse.Namespace, workers: int, fixed: float, hashed: float) -> Cost:
    """Measure smaller models, and return the numbers that fit them best.

    Args:
        arguments: Of the command line.
        workers: Side by side.
        fixed: Seconds of the smallest model.
        hashed: Seconds for each byte of a base.
    """
    import numpy as np

    models = (("0.5b", workers), ("0.5b", 2 * workers), ("1.5b", workers))
    runs = [take(shape, arguments, shards, workers) for shape, shards in models]
    rows = np.array([run.row[2:] for run, _ in runs])
    left = np.array([took - fixed - hashed * run.nbytes for run, took in runs])
    scale = np.abs(rows).max(axis=0) + (np.abs(rows).max(axis=0) == 0)
    found, *_ = np.linalg.lstsq(rows / scale, left, None)
    return Cost(fixed, hashed, *(float(value) for value in found / scale))


def compare(arguments: argparse.Namespace) -> None:
    numbers = [int(number) for number in arguments.workers.split(",")]
    for shape in ("tiny", "0.5b", "1.5b", arguments.shape):
        take(shape, arguments, 1, 1)  # what is proved of a model is remembered
    _, fixed = take("tiny", arguments, 1, 1)
    base, _ = make("1.5b", arguments.work)
    started = time.perf_counter()
    for file in base.glob("*.safetensors"):
        hash_file(file)
    hashed = (time.perf_counter() - started) / weights(base)
    print(f"a run {fixed:.2f} s, hashing {1e-9 / hashed:.2f} GB/s", flush=True)
    costs = {}
    for workers in sorted({1, *numbers}):
        cost = costs[workers] = calibrate(arguments, workers, fixed, hashed)
        print(f"{workers} workers: {1e3 * cost.tensor:.1f} ms a tensor, "
              f"{cost.start:.1f} s a start, {1e-9 / cost.byte:.2f} GB/s", flush=True)  # fmt: skip
    worst = 0.0
    for workers in numbers:
        for shards in map(int, arguments.shards.split(",")):
            run, took = take(arguments.shape, arguments, shards, workers)
            said = costs[workers if run.shards > 1 else 1].seconds(run)
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
