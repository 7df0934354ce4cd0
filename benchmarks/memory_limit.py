"""A merge, compressed models and a GGUF of a 3B model in processes that may not have 2 GB each.

    python benchmarks/memory_limit.py --shape 3b --limit 2 --work /big/disk

Every process of the run gets the limit. Two of them are tried, because they say different things:

``address``  RLIMIT_AS, all addresses: private memory, libraries, stacks that were never touched,
             and mapped files. llama.cpp maps a finished GGUF file as a whole, so a file of 2 GB
             cannot be tried in an address space of 2 GB; what asks llama.cpp is left out there.
``data``     RLIMIT_DATA, private writable memory alone, which is what a machine has to have. The
             smoke test, for which llama.cpp packs the matrices anew, is part of it.

Printed are the largest address space and private memory of any process, and the private memory of
all processes together, sampled.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from gguf_pipeline import SHAPES, build

LIMITS = {"address": resource.RLIMIT_AS, "data": resource.RLIMIT_DATA}
REQUESTS = {
    "merged-16bit": ["--plugins", "merged"],
    "compressed, two kinds": ["--plugins", "compressed", "--compressed-kinds", "w4a16,fp8-dynamic"],
    "gguf Q4_K_M": ["--plugins", "gguf", "--gguf-quants", "Q4_K_M"],
}


class Memory(threading.Thread):
    """Samples a process and everything below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.address = self.private = self.together = 0
        self.stop = threading.Event()

    def run(self) -> None:
        import psutil

        root = psutil.Process(self.pid)
        while not self.stop.wait(0.02):
            try:
                family = [root, *root.children(recursive=True)]
            except psutil.Error:
                continue
            values = [status(process.pid) for process in family]
            self.address = max(self.address, *(v.get("VmPeak", 0) for v in values))
            self.private = max(self.private, *(v.get("RssAnon", 0) for v in values))
            self.together = max(self.together, sum(v.get("RssAnon", 0) for v in values))


def status(pid: int) -> dict[str, int]:
    """Return the sizes in ``/proc/PID/status``, in bytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {
        line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="3b")
    parser.add_argument("--limit", type=float, default=2.0, help="GiB of each process")
    parser.add_argument("--kind", choices=LIMITS, action="append", help="default: both")
    parser.add_argument("--request", choices=REQUESTS, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=1, help="ignored; for `nox -s bench`")
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    base, adapter = build(options.shape, work)
    limit = int(options.limit * 2**30)
    failed = 0
    print(f"{options.shape}, {options.limit:g} GiB for each process\n")
    print("| request | limit | | wall | addresses | private, largest | private, all |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: |", flush=True)
    for kind in options.kind or LIMITS:
        for name in options.request or REQUESTS:
            arguments = REQUESTS[name]
            out = work / "out"
            shutil.rmtree(out, ignore_errors=True)
            command = [sys.executable, "-m", "uploader_core", "run", str(adapter), "--base",
                       str(base), *arguments, "--output", str(out), "--yes"]  # fmt: skip
            if kind == "address" and name.startswith("gguf"):
                command += ["--no-gguf-smoke-test", "--no-gguf-tokenizer-check"]
            started = time.monotonic()
            with (work / "log.txt").open("w") as log:
                process = subprocess.Popen(
                    command,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "XDG_CACHE_HOME": str(work / "cache")},
                    preexec_fn=lambda kind=kind: resource.setrlimit(LIMITS[kind], (limit, limit)),
                )
                memory = Memory(process.pid)
                memory.start()
                code = process.wait()
            memory.stop.set()
            memory.join()
            failed += code != 0
            said = "done" if code == 0 else f"exit {code}: see log.txt"
            print(
                f"| {name} | {kind} | {said} | {time.monotonic() - started:.0f} s | "
                f"{memory.address / 1e6:.0f} MB | {memory.private / 1e6:.0f} MB | "
                f"{memory.together / 1e6:.0f} MB |",
                flush=True,
            )
            if code:
                print("\n".join((work / "log.txt").read_text().splitlines()[-6:]))
            shutil.rmtree(out, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
