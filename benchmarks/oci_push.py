"""Pushing to a registry against ``skopeo copy`` of the same blobs; memory, and a second push.

    python benchmarks/oci_push.py --shape 2gb --rounds 3 --work /tmp/bench

A release of random weights is made once in the work folder, pushed to a docker-registry on this
machine, and copied from there into a folder by skopeo. Each round pushes it twice, in a process
each and to a fresh registry: by ``skopeo copy`` of that folder, and by our upload step, which also
hashes while it sends, and asks for everything again. Who is first alternates. Then our step runs
again on what is there already. Times are those of the whole process for skopeo, and of the work
without interpreter start and imports for ours. ``docker-registry`` and ``skopeo`` have to be on the
PATH. Exits with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hub_upload import files_of, make
from merge_speed import Memory

from uploader_oci.loopback import LoopbackRegistry, loopback_registry

SHAPES = {"tiny": 20 * 10**6, "200mb": 200 * 10**6, "2gb": 2 * 10**9}
REPOSITORY = "me/model"


def ours(folder: Path, target: str) -> dict[str, object]:
    """Push with our upload step, as a worker runs it."""
    import httpx  # noqa: F401 - not part of what is measured

    from uploader_core.plugin import OutputFolder, ReleaseInfo, StepContext
    from uploader_oci.publishing.publish import upload
    from uploader_oci.settings import Settings

    files = files_of(folder)
    work = folder.parent / "oci-work"
    work.mkdir(exist_ok=True)
    context = StepContext(
        step="oci:push",
        inputs=(),
        settings=Settings(),
        release=ReleaseInfo(name="model", source="checkpoint"),
        output=OutputFolder(work / "none", work),
        work=work,
        state=work / "state",
        target=target,
        targets=(target,),
        destination=f"oci:{target}",
        files=files,
    )
    memory = Memory()
    start = time.perf_counter()
    receipt = upload(context)
    return {
        "seconds": time.perf_counter() - start,
        "anonymous_mb": memory.megabytes,
        "bytes_sent": receipt.bytes_sent,
    }


def run_ours(folder: Path, target: str) -> dict[str, float]:
    """Do it in a process of its own."""
    command = [sys.executable, __file__, "--push", target, "--work", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_skopeo(copy: Path, target: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false",
         f"dir:{copy}", f"docker://{target}"], check=True,
    )  # fmt: skip
    return time.perf_counter() - start


def received(server: LoopbackRegistry) -> int:
    """Return the bytes that the registry has stored."""
    return sum(p.stat().st_size for p in (server.root / "data").rglob("*") if p.is_file())


@contextlib.contextmanager
def fresh() -> Iterator[tuple[LoopbackRegistry, str]]:
    with loopback_registry() as server:
        yield server, f"{server.host}/{REPOSITORY}:v1"


def prepare(folder: Path, copy: Path) -> None:
    """Let skopeo make its folder of the release once."""
    if (copy / "manifest.json").exists():
        return
    shutil.rmtree(copy, ignore_errors=True)
    with fresh() as (_, target):
        run_ours(folder, target)
        subprocess.run(
            ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false",
             f"docker://{target}", f"dir:{copy}"], check=True,
        )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="200mb")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--push", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.push:
        print(json.dumps(ours(arguments.work, arguments.push)))
        return 0
    folder = arguments.work / f"oci-{arguments.shape}"
    copy = arguments.work / f"oci-{arguments.shape}-skopeo"
    make(folder, SHAPES[arguments.shape])
    prepare(folder, copy)
    walls: dict[str, list[float]] = {"skopeo": [], "ours": []}
    memory, second, again = 0.0, [], 0
    for number in range(arguments.rounds):
        for who in ("skopeo", "ours") if number % 2 else ("ours", "skopeo"):
            with fresh() as (server, target):
                if who == "skopeo":
                    walls[who].append(run_skopeo(copy, target))
                    continue
                found = run_ours(folder, target)
                walls[who].append(found["seconds"])
                memory = max(memory, found["anonymous_mb"])
                before = received(server)
                repeated = run_ours(folder, target)
                second.append(repeated["seconds"])
                again = max(again, int(repeated["bytes_sent"]), received(server) - before)
    ratios = [a / b for a, b in zip(walls["ours"], walls["skopeo"], strict=True)]
    size = SHAPES[arguments.shape] / 1e6
    for who, times in walls.items():
        median = statistics.median(times)
        print(f"{who}: {median:.2f} s, {size / median:.0f} MB/s ({min(times):.2f} to "
              f"{max(times):.2f})")  # fmt: skip
    goals = {
        "ours / skopeo, median of pairs": (statistics.median(ratios), 1.25),
        "private memory, MB": (memory, 150),
        "second push, bytes": (again, 100_000),
    }
    for name, (value, goal) in goals.items():
        print(f"{name}: {value:.2f}, goal {goal}")
    print(f"second push: {statistics.median(second):.2f} s")
    return int(any(value > goal for value, goal in goals.values()))


if __name__ == "__main__":
    sys.exit(main())
