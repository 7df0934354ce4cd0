"""The commands that the faults are injected into."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from held_files import HeldFiles
from uploader_command import Uploader
from uploader_kit.job_runs import until

_SMALL_UNITS = {
    "merged-16bit": ("--merged-shard-size", "1MB"),
    "gguf": ("--gguf-quants", "Q8_0,Q4_K_M"),
}
TARGETS = ("lora", "merged-16bit", "merged-4bit", "gguf", "upload")


def uploader(*arguments: object) -> list[str]:
    """``uploader`` as a process of its own."""
    return [sys.executable, "-m", "uploader_core", *(str(a) for a in arguments)]


def release_of(adapter: Path, target: str, work: Path) -> tuple[list[str], list[Path]]:
    """Return the command that makes one of :data:`TARGETS`, and the folders that it writes."""
    release, copy = work / "release", work / "copy"
    if target == "upload":
        return publish(adapter, ("lora", "merged-16bit"), release, copy), [release, copy]
    return publish(adapter, (target,), release, None), [release]


def publish(adapter: Path, kinds: tuple[str, ...], release: Path, copy: Path | None) -> list[str]:
    """Return the command that makes some formats in small units and copies them."""
    units = [option for kind in kinds for option in _SMALL_UNITS.get(kind, ())]
    to = [] if copy is None else ["--to", f"dir:{copy}"]
    return uploader(
        "run", adapter, "--plugins", ",".join(kinds), "--output", release, "--name", "tiny",
        "--yes", *units, *to,
    )  # fmt: skip


def kill_and_go_on(command: Uploader, argv: list[str], names: str) -> None:
    """Kill a command when one file is finished, run it again, and expect that it was kept.

    Args:
        command: What runs it.
        argv: The command.
        names: Regular expression of the paths of such files.
    """
    held = HeldFiles(command.cwd / "held", names, free=1)
    environment = held.variables(command.variables())
    first = subprocess.Popen(
        argv, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    until(lambda: first.poll() is not None or any(p.exists() for p in held.named()), 600,
          "nothing is finished")  # fmt: skip
    assert first.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    (kept,) = held.named()
    held.let_go()
    second = subprocess.run(argv, env=environment, stdout=subprocess.DEVNULL)
    assert second.returncode == 0
    assert held.named().count(kept) == 1 < len({*held.named()})


COMMIT = """
import sys
from pathlib import Path
from uploader_core.artifact import Artifact
from uploader_core.contract.output import OutputFolder
from uploader_core.release.record import Record
from uploader_core.release.store import ReleaseStore

root = Path(sys.argv[1])
store = ReleaseStore(root)
try:
    open("commit-window-begins")
except FileNotFoundError:
    pass
with store.open():
    store.sweep()
    if store.current("acme:save", "k" * 64) is None:
        store.claim("acme")
        output = OutputFolder(root / "acme", store.work("acme:save"),
                              store.units("acme:save", "k" * 64))
        for name in ("a.safetensors", "b.safetensors"):
            if output.done(name) is None:
                with output.create(name) as writer:
                    for block in range(4):
                        writer.write(name.encode() * 50000)
        with output.reserve("c.safetensors") as path:
            path.write_bytes(b"c" * 50000)
        output.write("config.json", "{}")
        artifact = Artifact(kind="acme", path=root / "acme", files=output.files, producer="acme")
        store.save(Record(step="acme:save", key="k" * 64, folder="acme", artifact=artifact,
                          stats=store.stats_of(artifact)))
"""
"""What a step and its run do to commit three weight files, in one process with one thread."""
