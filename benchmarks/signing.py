"""What a signature costs: the same release without the documents of a place, with them, and signed.

    python benchmarks/signing.py --shape 3b --rounds 3 --work /big/disk

Whole processes of ``uploader run``, in turns within each round, so that what else the machine does
is in all of them. ``bare`` has the distribution disabled, ``checksums`` is what it makes by itself,
``signed`` has a key besides. OpenSSF's own verifier has to accept the last one.
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

from batch import timed, uploader
from gguf_pipeline import SHAPES, build

ARMS = ("bare", "checksums", "signed")


def make_keys(work: Path) -> tuple[Path, Path]:
    """Write a key pair, unless it is there."""
    private, public = work / "keys" / "signing.pem", work / "keys" / "signing.pub.pem"
    if not public.exists():
        private.parent.mkdir(exist_ok=True)
        make = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private]
        subprocess.run(make, check=True)
        subprocess.run(["openssl", "ec", "-in", private, "-pubout", "-out", public], check=True)
        private.chmod(0o600)
    return private, public


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--plugins", default="lora,merged-16bit,gguf")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()

    work = options.work.resolve()
    _, adapter = build(options.shape, work)
    private, public = make_keys(work)
    out = work / "out"
    seconds: dict[str, list[tuple[float, float]]] = {arm: [] for arm in ARMS}
    steps: list[float] = []
    for number in range(options.rounds):
        # Another order each time: who comes second finds the base in the page cache.
        for arm in (*ARMS[number % 3 :], *ARMS[: number % 3]):
            shutil.rmtree(out, ignore_errors=True)
            os.environ["UPLOADER_DISABLE"] = "provenance" if arm == "bare" else ""
            key = ("--provenance-key", private) if arm == "signed" else ()
            command = uploader("run", adapter, "--plugins", options.plugins, "--output", out,
                               "--yes", "--quiet", *key)  # fmt: skip
            seconds[arm].append(timed(command, work / "log.txt"))
            if arm == "signed":
                steps.append(seconds_of_signing(out))
                verify(out, public)
            print(f"round {number + 1}: {arm} {seconds[arm][-1][0]:.1f} s", flush=True)
    shutil.rmtree(out)
    print(f"\n{options.shape}, {options.plugins}, {os.cpu_count()} processors\n")
    print("| | wall, s | to bare | processor, s | to bare |")
    print("| --- | ---: | ---: | ---: | ---: |")
    medians = {arm: [statistics.median(x) for x in zip(*seconds[arm], strict=True)] for arm in ARMS}
    for arm, (wall, busy) in medians.items():
        of_wall, of_busy = (
            100 * (a / b - 1) for a, b in zip(medians[arm], medians["bare"], strict=True)
        )
        print(f"| {arm} | {wall:.1f} | {of_wall:+.1f} % | {busy:.1f} | {of_busy:+.1f} % |")
    print(f"\nthe steps that sign: {statistics.median(steps):.1f} s of it")
    return 0


def seconds_of_signing(release: Path) -> float:
    """Return what the steps of a release that signed took, by their records."""
    records = (release / ".uploader" / "steps").glob("provenance-signature*.json")
    return sum(json.loads(path.read_text("utf-8"))["seconds"] for path in records)


def verify(release: Path, public: Path) -> None:
    """Have OpenSSF's verifier read everything."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "model_signing", "verify", "key", str(release),
                    "--signature", str(release / "model.sig"), "--public_key", str(public)],
                   check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    print(f"  verified by model_signing in {time.perf_counter() - started:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
