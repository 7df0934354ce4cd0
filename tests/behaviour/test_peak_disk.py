"""The plan says how much disk a run takes at its tightest moment: never less, hardly more.

``nox -s peak_disk`` runs all kinds of request; the default tests a few of them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from disk_usage import Watch
from held_files import HeldFiles
from sparse_models import Shape, write_fine_tune
from uploader_kit.job_runs import until

# Large enough that records and documents do not matter, small enough to be quick.
SHAPE = Shape(vocabulary=4096, hidden=512, inner=1536, layers=8, heads=8, kv_heads=4)
MOST = 1.10

REQUESTS = {
    "lora": ["--plugins", "lora"],
    "merged-16bit": ["--plugins", "merged"],
    "merged-4bit": ["--plugins", "merged-4bit"],
    "gguf, one kind": ["--plugins", "gguf", "--gguf-quants", "Q8_0"],
    "gguf, three kinds": ["--plugins", "gguf", "--gguf-quants", "Q4_K_M,Q5_K_M,Q8_0"],
    "gguf, calibrated": [
        *("--plugins", "gguf", "--gguf-quants", "Q4_K_M", "--gguf-calibration", "builtin"),
    ],
    "gguf-lora": ["--plugins", "gguf-lora"],
    "merged by peft": ["--plugins", "merged", "--merged-engine", "peft"],
    "everything to a folder": [
        *("--plugins", "lora,merged,merged-4bit,gguf,gguf-lora", "--to", "dir:{root}/there"),
    ],
}
QUICK = {"lora", "merged-16bit"}


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tune of some sixty megabytes with random weights."""
    root = tmp_path_factory.mktemp("large")
    return write_fine_tune(root, SHAPE, rank=64, seed=5)


class Disk:
    """The folders that a run writes to, and what a plan says of them.

    Args:
        root: A new folder.
        uploader: The command.
    """

    def __init__(self, root: Path, uploader: Any) -> None:
        self.root = root / "disk"
        self.release = self.root / "release"
        for name in ("tmp", "home"):
            (self.root / name).mkdir(parents=True)
        uploader.environment |= {
            "TMPDIR": str(self.root / "tmp"),
            "HF_HOME": str(self.root / "home"),
        }
        self.uploader = uploader

    def request(self, source: Path | str, arguments: list[str]) -> list[str]:
        filled = [argument.replace("{root}", str(self.root)) for argument in arguments]
        return [str(source), *filled, "--output", str(self.release)]

    def predicted(self, request: list[str]) -> int:
        done = self.uploader("plan", *request, "--json")
        assert done.returncode == 0, done.stderr
        return sum(system["peak"] for system in json.loads(done.stdout)["space"])

    def compare(self, source: Path | str, arguments: list[str]) -> tuple[int, int]:
        """Plan and run, and return predicted and actual bytes at the tightest moment."""
        request = self.request(source, arguments)
        predicted = self.predicted(request)
        with Watch(self.root) as watch:
            done = self.uploader("run", *request, "--yes")
        assert done.returncode == 0, done.stderr
        return check(predicted, watch)


def check(predicted: int, watch: Watch) -> tuple[int, int]:
    ratio = predicted / watch.added
    print(f"predicted {predicted:,}, actual {watch.added:,}, {ratio:.3f}, {watch.looks} looks")
    assert watch.looks > 20
    assert 1.0 <= ratio <= MOST
    return predicted, watch.added


@pytest.fixture
def disk(tmp_path: Path, uploader: Any) -> Disk:
    return Disk(tmp_path, uploader)


@pytest.mark.parametrize(
    "kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in REQUESTS]
)
def test_request(kind: str, disk: Disk, large: Path) -> None:
    disk.compare(large, REQUESTS[kind])


@pytest.mark.slow
def test_to_the_hub(disk: Disk, large: Path, hub: Any) -> None:
    disk.uploader.environment["HF_HOME"] = str(disk.root / "home")
    disk.compare(large, ["--plugins", "lora,merged,gguf", "--to", "hf:me/x"])


@pytest.mark.slow
def test_with_a_base_that_is_fetched(disk: Disk, large: Path, hub: Any) -> None:
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(endpoint=hub.url, token=hub.token("me"))
    api.create_repo("me/base")
    files = sorted((large.parents[1] / "base").iterdir())
    # Plain LFS: the loopback Hub was not asked to speak Xet.
    adds = [CommitOperationAdd(path.name, path.open("rb")) for path in files]
    api.create_commit("me/base", adds, commit_message="base")
    for add in adds:
        add.path_or_fileobj.close()
    disk.uploader.environment["HF_HOME"] = str(disk.root / "home")
    disk.compare(large, ["--plugins", "merged", "--base", "me/base"])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="ends a process group")
@pytest.mark.parametrize("shards", [1, 2])
def test_resumed(shards: int, disk: Disk, large: Path) -> None:
    """Killed when some files are finished and the next is half-written."""
    request = disk.request(large, ["--plugins", "lora,merged", "--merged-shard-size", "16M"])
    held = HeldFiles(disk.root.with_name("held"), r"/merged-16bit/.*\.safetensors$", free=shards)
    process = subprocess.Popen(
        disk.uploader.argv("run", *request, "--yes"),
        env=held.variables(disk.uploader.variables()),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    merged = disk.release / "merged-16bit"
    until(lambda: len([*merged.glob("*.safetensors")]) == shards, 600, "no file is finished")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    predicted = disk.predicted(request)
    with Watch(disk.root) as watch:
        done = disk.uploader("run", *request, "--yes")
    assert done.returncode == 0, done.stderr
    check(predicted, watch)
