"""What the load proof costs a merge: a run that proves against a run that remembers the proof.

    python benchmarks/load_proof.py --shape 3b --rounds 3 --work /tmp/bench

Models of real shapes with random weights are made once in the work folder. Each round is a whole
``uploader run --plugins merged-16bit`` with the proof, and one that finds what was proved before,
one after the other; both hash their sources anew and write all files.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from merge_speed import SHAPES, make

PROVED, REMEMBERED = "proved", "remembered"


def measure(work: Path, base: Path, adapter: Path, who: str) -> tuple[float, float]:
    """Run once; return seconds of wall and of CPU time."""
    target, proofs = work / "release", work / "proofs"
    shutil.rmtree(target, ignore_errors=True)
    if who == PROVED:
        shutil.rmtree(proofs, ignore_errors=True)
    command = [sys.executable, "-m", "uploader_core", "run", adapter, "--plugins", "merged-16bit"]
    command += ["--base", base, "--output", target, "--name", "benchmark", "--yes", "--quiet"]
    variables = {"UPLOADER_LOAD_PROOFS": str(proofs), "UPLOADER_PACE": str(work / "pace.json")}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
    )
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(target)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    base, adapter = make(arguments.shape, arguments.work)
    found: dict[str, list[tuple[float, float]]] = {PROVED: [], REMEMBERED: []}
    for number in range(arguments.rounds):
        for who, rounds in found.items():
            rounds.append(measure(arguments.work, base, adapter, who))
            wall, cpu = rounds[-1]
            print(f"round {number + 1}  {who:10} wall {wall:.2f}, cpu {cpu:.2f}", flush=True)
    for index, name in enumerate(("wall", "cpu")):
        pairs = [a[index] / b[index] for a, b in zip(*found.values(), strict=True)]
        print(f"{PROVED} / {REMEMBERED}, {name}, pairs: {', '.join(f'{p:.2f}' for p in pairs)}")
        print(f"{PROVED} / {REMEMBERED}, {name}, median: {statistics.median(pairs):.2f}")


if __name__ == "__main__":
    main()
