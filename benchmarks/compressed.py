"""Base and adapter to compressed-tensors, against peft's merge and llm-compressor's fastest way.

    python benchmarks/compressed.py --shape 0.5b --work /tmp/bench --llm-compressor PYTHON

``ours`` makes all schemes in one process (hashes, fsync and proof included). ``peft`` loads, merges
and saves; ``llm-compressor`` quantises that folder with ``model_free_ptq``, which needs no model
class and no calibration, all schemes in one process of the Python that is named (it pins another
transformers). Each runs in a process of its own, in turns, all with fsync. Memory is the peak of
private pages (RssAnon) above what the process had after its imports.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from merge_speed import SHAPES, Memory, make, report, run_peft

SCHEMES = ("w4a16", "fp8-dynamic")

PEER = """
import json, os, sys, threading, time
memory = {"peak": 0}
def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
from llmcompressor import model_free_ptq
before = anonymous()
def watch():
    while True:
        memory["peak"] = max(memory["peak"], anonymous())
        time.sleep(0.005)
threading.Thread(target=watch, daemon=True).start()
started = time.perf_counter()
source, target, *schemes = sys.argv[1:]
for scheme in schemes:
    folder = os.path.join(target, scheme)
    name = scheme.upper().replace("-", "_")
    model_free_ptq(source, folder, scheme=name, ignore=["lm_head", "re:.*embed_tokens"],
                   device="cpu", max_workers=2)
    for file in os.listdir(folder):
        handle = os.open(os.path.join(folder, file), os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
print()
print(json.dumps({"inner": time.perf_counter() - started,
                  "anonymous_mb": (memory["peak"] - before) / 2**20}))
"""


def run_ours(base: Path, adapter: Path, target: Path, schemes: list[str]) -> None:
    from uploader_compressed.save import save
    from uploader_compressed.settings import Settings
    from uploader_core.plugin import Artifact, OutputFolder, ReleaseInfo, StepContext

    memory, started = Memory(), time.perf_counter()
    metadata = {"base": str(base), "adapters": [[str(adapter), 1.0]]}
    save(
        tuple(
            StepContext(
                step=f"benchmark-{scheme}",
                inputs=(Artifact(kind="checkpoint", path=base, metadata=metadata),),
                settings=Settings(kinds=tuple(schemes)),
                release=ReleaseInfo(name="x", source="adapter"),
                output=OutputFolder(
                    target / scheme, target / "scratch" / scheme, target / "units" / scheme
                ),
                work=target / "scratch" / scheme,
                produces=f"compressed-{scheme}",
                variant=scheme,
            )
            for scheme in schemes
        )
    )
    report(started, memory)


def measure(argv: list[object]) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run([str(a) for a in argv], check=False, capture_output=True, text=True)
    wall = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--schemes", default=",".join(SCHEMES))
    parser.add_argument("--llm-compressor", help="Python of an environment with llm-compressor")
    parser.add_argument("--run", choices=["ours", "peft"])
    parser.add_argument("--base", type=Path)
    parser.add_argument("--adapter", type=Path)
    arguments = parser.parse_args()
    schemes = arguments.schemes.split(",")
    if arguments.run == "ours":
        return run_ours(arguments.base, arguments.adapter, arguments.work, schemes)
    if arguments.run == "peft":
        return run_peft(arguments.base, arguments.adapter, arguments.work, four_bit=False)
    arguments.work.mkdir(parents=True, exist_ok=True)
    base, adapter = make(arguments.shape, arguments.work)
    target = arguments.work / "target"
    common = ["--base", base, "--adapter", adapter, "--work", target, "--schemes",
              arguments.schemes]  # fmt: skip
    rounds: dict[str, list[dict[str, float]]] = {}
    for number in range(arguments.rounds):
        calls: dict[str, list[object]] = {
            "ours": [sys.executable, __file__, "--run", "ours", *common]
        }
        if arguments.llm_compressor:
            calls["peft"] = [sys.executable, __file__, "--run", "peft", *common]
            calls["llm-compressor"] = [
                arguments.llm_compressor, "-c", PEER, target / "out", target, *schemes
            ]  # fmt: skip
        for who, argv in calls.items():
            # llm-compressor takes what peft left.
            if who != "llm-compressor":
                shutil.rmtree(target, ignore_errors=True)
            rounds.setdefault(who, []).append(measure(argv))
            result = ", ".join(f"{k} {v:.2f}" for k, v in rounds[who][-1].items())
            print(f"round {number + 1}  {who:14} {result}", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    if arguments.llm_compressor:
        ours, peft, peer = (
            [r["wall"] for r in rounds[who]] for who in ("ours", "peft", "llm-compressor")
        )
        chain = [a + b for a, b in zip(peft, peer, strict=True)]
        ratio = statistics.median(chain) / statistics.median(ours)
        print(f"peft and llm-compressor / ours, whole processes, medians: {ratio:.1f}")
    return None


if __name__ == "__main__":
    main()
