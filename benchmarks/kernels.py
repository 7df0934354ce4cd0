"""Values a second for every type: uploader-kernels against llama.cpp's own kernels.

    python benchmarks/kernels.py --threads 1,2

Both quantise the same rows (normal, as weights are), in turns; the best of a few rounds counts, for
the smallest disturbance. With several threads each works on rows of its own, as a release does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import uploader_kernels
from uploader_gguf.format.quants import TensorType
from uploader_gguf.llama_cpp import kernels


def best_time(work: Callable[[], object], threads: int, rounds: int) -> float:
    """Return the seconds of the fastest round, in which every thread does the work once."""
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            start = time.perf_counter()
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()
            best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--types", help="names, all by default")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    library = uploader_kernels.load()
    random = np.random.default_rng(0)
    rows = random.standard_normal((options.rows, 4096), dtype=np.float32) * np.float32(0.02)
    weights = random.random(4096, dtype=np.float32)
    print(f"{library.level}, rows of 4096 values, millions of values a second\n")
    print("| type | importance | threads | stock | ours | ratio |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    kinds = [TensorType(number) for number in sorted(uploader_kernels.TYPES)]
    for kind in (k for k in kinds if not options.types or k.name in options.types.split(",")):
        kernels.prepare({kind})
        for importance in (None, weights) if kind is not TensorType.Q8_0 else (None,):
            for threads in map(int, options.threads.split(",")):

                def stock(kind: TensorType = kind, importance: object = importance) -> object:
                    return kernels.encode(rows[:16], kind, importance)

                def ours(kind: TensorType = kind, importance: object = importance) -> object:
                    return uploader_kernels.encode(library, rows, int(kind), importance)

                slow = threads * rows[:16].size / best_time(stock, threads, options.rounds) / 1e6
                fast = threads * rows.size / best_time(ours, threads, 3 * options.rounds) / 1e6
                print(
                    f"| {kind.name} | {'yes' if importance is not None else 'no'} | {threads} "
                    f"| {slow:.1f} | {fast:.1f} | {fast / slow:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
