"""Publishing against the bare client: wall time over loopback, and what a second run sends.

    python benchmarks/hub_upload.py --shape 2gb --rounds 3 --work /tmp/bench

A release of random weights is made once in the work folder. Each round publishes it twice to a
loopback Hub, each in a process of its own and to a fresh repository of a fresh store: once with the
client's ``create_commit`` alone, once with our upload step, which also compares, hashes while it
sends, and verifies. Who is first alternates. Then our step runs again on what is there already.
Times are those of the work itself, without interpreter start and imports.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uploader_core.plugin import UploadFile

FILES = 4
SHAPES = {"tiny": 20 * 10**6, "2gb": 2 * 10**9}


def make(folder: Path, size: int) -> None:
    """Write the release once: shards, a configuration and a card, with their digests."""
    if (folder / "digests.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"config.json": b'{"a": 1}', "README.md": b"---\ntags:\n- x\n---\n# hi\n"}
    digests = {}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    for number in range(1, FILES + 1):
        name = f"model-{number:05}-of-{FILES:05}.safetensors"
        digest = hashlib.sha256()
        with (folder / name).open("wb") as file:
            for _ in range(size // FILES // (1 << 20)):
                block = os.urandom(1 << 20)
                digest.update(block)
                file.write(block)
        digests[name] = digest.hexdigest()
    (folder / "digests.json").write_text(json.dumps(digests))


def bare(folder: Path, repo: str) -> dict[str, object]:
    """Publish with the client alone."""
    from huggingface_hub import CommitOperationAdd, HfApi

    digests = json.loads((folder / "digests.json").read_text())
    api = HfApi(endpoint=os.environ["HF_ENDPOINT"], token=os.environ["HF_TOKEN"])
    start = time.perf_counter()
    api.create_repo(repo, private=True)
    operations = [CommitOperationAdd(name, str(folder / name)) for name in digests]
    api.create_commit(repo, operations, commit_message="bare")
    return {"seconds": time.perf_counter() - start}


def files_of(folder: Path) -> tuple[UploadFile, ...]:
    """Return the files of a release that :func:`make` made, as a run lists them."""
    from uploader_core.plugin import UploadFile

    digests = json.loads((folder / "digests.json").read_text())
    return tuple(
        UploadFile(
            name=name,
            path=folder / name,
            size=(folder / name).stat().st_size,
            sha256=digest,
            role="weights" if name.endswith("s") else "document",
            kind="merged-16bit",
        )
        for name, digest in digests.items()
    )


def ours(folder: Path, repo: str) -> dict[str, object]:
    """Publish with our upload step, as a worker runs it."""
    import huggingface_hub.hf_api  # noqa: F401 - not part of what is measured

    from uploader_core.plugin import OutputFolder, ReleaseInfo, StepContext
    from uploader_hf.publishing.publish import upload
    from uploader_hf.settings import HubSettings

    files = files_of(folder)
    phases: dict[str, float] = {}
    start = last = time.perf_counter()
    phase = "preparing"

    def on_progress(what: str, done: int, total: int | None, unit: str) -> None:
        nonlocal last, phase
        now = time.perf_counter()
        phases[phase] = phases.get(phase, 0.0) + now - last
        last, phase = now, what.split(" ")[0]

    context = StepContext(
        step="hf:upload", inputs=(), settings=HubSettings(),
        release=ReleaseInfo(name="bench", source="checkpoint"),
        output=OutputFolder(folder / "none", folder), work=folder, target=repo,
        destination=f"hf:{repo}", targets=(repo,), files=files,
        secrets={"HF_TOKEN": os.environ["HF_TOKEN"]}, on_progress=on_progress,
    )  # fmt: skip
    receipt = upload(context)
    return {
        "seconds": time.perf_counter() - start,
        "sent": receipt.bytes_sent,
        "phases": {name: round(seconds, 2) for name, seconds in phases.items()},
    }


def publish(who: str, folder: Path, hub: object) -> dict[str, object]:
    """Run one of the two in a process of its own, and count what the Hub received."""
    before = hub.bytes_received  # type: ignore[attr-defined]
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,  # type: ignore[attr-defined]
        "HF_TOKEN": hub.token("me"),  # type: ignore[attr-defined]
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(folder.parent / "hf-home"),
    }
    shape = folder.name.rsplit("-", 1)[1]
    argv = [sys.executable, __file__, "--child", who, "--shape", shape]
    argv += ["--work", str(folder.parent)]
    done = subprocess.run(argv, env=environment, check=True, stdout=subprocess.PIPE)
    result: dict[str, object] = json.loads(done.stdout)
    return {**result, "received": hub.bytes_received - before}  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="2gb")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--child", choices=("bare", "ours"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.work / f"hub-release-{arguments.shape}"
    if arguments.child:
        publisher = {"bare": bare, "ours": ours}[arguments.child]
        print(json.dumps(publisher(folder, "me/bench")))
        return
    from loopback_hub import LoopbackHub

    make(folder, SHAPES[arguments.shape])
    ratios = []
    for number in range(arguments.rounds):
        seconds = {}
        for who in ("bare", "ours") if number % 2 == 0 else ("ours", "bare"):
            store = arguments.work / "hub-store"
            shutil.rmtree(store, ignore_errors=True)
            with LoopbackHub(store, part_size=64 << 20) as hub:
                result = publish(who, folder, hub)
                print(f"{who:5} {result}")
                seconds[who] = float(str(result["seconds"]))
                if who == "ours":
                    print(f"again {publish(who, folder, hub)}")
            shutil.rmtree(store)
        ratios.append(seconds["ours"] / seconds["bare"])
        print(f"ours / bare {ratios[-1]:.2f}")
    print(f"median {statistics.median(ratios):.2f} of {[round(ratio, 2) for ratio in ratios]}")


if __name__ == "__main__":
    main()
