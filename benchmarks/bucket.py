"""A base and an adapter in a bucket, a release back into it, over a line that loses connections.

    python benchmarks/bucket.py --shape 0.5b --kills 3 --work /tmp/bench

moto's S3 server runs on this machine, with a proxy in front that loses connections at random. The
release is made of local folders first. Then ``uploader plan`` and ``uploader run`` take adapter and
base from the bucket and send the release to it. The run is killed with -9 a few times at random
moments and after that left alone. Exits with 1 where a digest differs, the plan reads more than the
headers and small files, or something is left open or half there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from merge_speed import make

from uploader_fsspec.loopback import LoopbackS3, loopback_s3
from uploader_kit.proxy import FaultProxy

BUCKET = "team"
PLAN_BYTES = 500_000
"""What a plan may read besides small files: headers, listings, the head of each connection."""

TARGET = f"dir:s3://{BUCKET}/releases/model"


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "uploader_core", *map(str, arguments)]


def digests(release: Path) -> dict[str, str]:
    """Return what a release is, without documents, which name the run."""
    manifest = json.loads((release / "upload_manifest.json").read_text("utf-8"))
    files = {f["path"]: f["sha256"] for f in manifest["files"] if f["role"] != "document"}
    for name, sha256 in files.items():
        with (release / name).open("rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == sha256
    return files


def sent(s3: LoopbackS3, prefix: str) -> dict[str, str]:
    """Return the digests of what is in the bucket, read by another client."""
    found = {}
    pages = s3.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    for page in pages:
        for entry in page.get("Contents", ()):
            digest = hashlib.sha256()
            body = s3.client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"]
            for block in body.iter_chunks(1 << 20):
                digest.update(block)
            found[entry["Key"].removeprefix(prefix)] = digest.hexdigest()
    return found


def run_killed(arguments: list[str], kills: int, chance: random.Random, most: float) -> int:
    """Run a command, kill it some times, then run it until it is through; count the runs."""
    for number in range(kills):
        process = subprocess.Popen(arguments, start_new_session=True, stdout=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.05, 1) * most)
            print(f"  run {number + 1} was through before it could be killed")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    for number in range(6):
        code = subprocess.run(arguments, stdout=subprocess.DEVNULL, check=False).returncode
        if code == 0:
            return kills + number + 1
        if code != 5:
            raise SystemExit(f"the run ended with exit code {code}")
    raise SystemExit("the run was not through after six attempts")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="0.5b")
    parser.add_argument("--chance", type=float, default=0.2, help="of a connection to be lost")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    return max(once(options, options.seed + number) for number in range(options.rounds))


def once(options: argparse.Namespace, seed: int) -> int:
    base, adapter = make(options.shape, options.work)
    folder = options.work / "bucket"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.environ["UPLOADER_FSSPEC_CACHE"] = str(folder / "cache")
    plugins = ("--plugins", "merged-16bit", "--yes")
    started = time.monotonic()
    local = command("run", adapter, "--base", base, *plugins, "--output", folder / "here")
    subprocess.run(local, check=True, stdout=subprocess.DEVNULL)
    print(f"from local folders: {time.monotonic() - started:.1f} s")
    size = sum(path.stat().st_size for path in base.iterdir())
    small = sum(p.stat().st_size for p in (*base.iterdir(), *adapter.iterdir())
                if p.suffix != ".safetensors")  # fmt: skip
    with loopback_s3() as s3, FaultProxy(s3.url).running() as line:
        s3.make_bucket(BUCKET)
        for name, place in (("base", base), ("adapter", adapter)):
            for path in place.iterdir():
                s3.client.upload_file(str(path), BUCKET, f"{name}/{path.name}")
        os.environ.update({**s3.environment, "AWS_ENDPOINT_URL": line.url})
        source = (f"s3://{BUCKET}/adapter", "--base", f"s3://{BUCKET}/base")
        started = time.monotonic()
        plan = command("plan", *source, *plugins[:2], "--to", TARGET, "--json")
        subprocess.run(plan, check=True, stdout=subprocess.DEVNULL)
        planned = line.answered
        print(f"plan: {time.monotonic() - started:.1f} s, {planned / 1e3:,.0f} kB read of a base "
              f"of {size / 1e6:,.0f} MB; small files have {small / 1e3:,.0f} kB")  # fmt: skip
        line.random, line.chance = random.Random(seed), options.chance
        line.within = 4 << 20
        line.answered = line.broken = line.connections = 0
        release = folder / "there"
        started = time.monotonic()
        run = command("run", *source, *plugins, "--to", TARGET, "--output", release)
        most = max(10.0, size / 20e6)
        runs = run_killed(run, options.kills, line.random, most)
        took = time.monotonic() - started
        print(f"from and to the bucket: {took:.1f} s in {runs} runs, {options.kills} of them "
              f"killed; {line.answered / 1e6:,.0f} MB came, {line.broken} of {line.connections} "
              "connections were lost")  # fmt: skip
        line.chance = 0.0
        subprocess.run(command("verify", TARGET), check=True, stdout=subprocess.DEVNULL)
        here, there = digests(folder / "here"), digests(release)
        there_too = sent(s3, "releases/model/")
        sessions = s3.sessions(BUCKET)
    same = here == there == {name: there_too.get(name) for name in here}
    print(f"{len(here)} files, digests {'equal' if same else 'DIFFERENT'}; {sessions} open uploads")
    cheap = planned <= PLAN_BYTES + small * 2  # a plan asks for source and base
    left = [name for name in there_too if name.endswith(".partial")]
    return int(not (same and cheap and not sessions and not left))


if __name__ == "__main__":
    sys.exit(main())
