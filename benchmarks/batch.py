"""Adapters of one base through ``uploader batch``, against ``uploader run`` one after the other.

    python benchmarks/batch.py --shape 0.5b --adapters 8 --part 4 --work /big/disk

Adapters with random weights, to lora, merged-16bit and GGUF Q4_K_M with all checks. In parts, in
turns: whole processes of ``uploader run`` for each adapter of the part, then one batch of them.
What both made is compared file by file, by digest, and removed before the next part: a part needs
room for its releases once (1.4 GB each at 0.5B).
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

from gguf_pipeline import SHAPES, build

KINDS = "lora,merged-16bit,gguf"
QUANTS = "Q4_K_M"


def adapters(adapter: Path, place: Path, count: int) -> list[Path]:
    """Return copies of an adapter with other weights."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(adapter / "adapter_model.safetensors")
    found = []
    for number in range(count):
        folder = place / f"tune-{number:02}"
        found.append(folder)
        if folder.exists():
            continue
        shutil.copytree(adapter, folder)
        generator = torch.Generator().manual_seed(number)
        noise = {n: 1e-3 * torch.randn(t.shape, generator=generator) for n, t in weights.items()}
        changed = {name: tensor + noise[name] for name, tensor in weights.items()}
        save_file(changed, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return found


def timed(command: list[str], log: Path) -> tuple[float, float]:
    """Run a command and return seconds and processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with log.open("a") as handle:
        subprocess.run(command, check=True, stdout=handle, stderr=handle)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def uploader(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "uploader_core", *map(str, arguments)]


def alone(folder: Path, out: Path) -> list[str]:
    """Return the command that releases one adapter."""
    return uploader("run", folder, "--plugins", KINDS, "--gguf-quants", QUANTS, "--output",
                    out / folder.name, "--yes", "--quiet")  # fmt: skip


def together(folders: list[Path], out: Path, file: Path) -> list[str]:
    """Return the command that releases several."""
    runs = "".join(f'[[run]]\nsource = "{folder}"\n' for folder in folders)
    file.write_text(
        f'[defaults]\nplugins = "{KINDS}"\noutput = "{out}/{{name}}"\n'
        f'[defaults.gguf]\nquants = "{QUANTS}"\n{runs}'
    )
    return uploader("batch", file, "--yes", "--quiet")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--adapters", type=int, default=8)
    parser.add_argument("--part", type=int, default=4, help="adapters of one batch")
    parser.add_argument("--rounds", type=int, default=1, help="ignored; for `nox -s bench`")
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    from uploader_kit.faults import digests

    work = options.work.resolve()
    _, adapter = build(options.shape, work)
    folders = adapters(adapter, work / f"tunes-{options.shape}", options.adapters)
    out, log = work / "out", work / "log.txt"
    single: list[tuple[float, float]] = []
    batch: list[tuple[float, float]] = []
    for first in range(0, len(folders), options.part):
        part = folders[first : first + options.part]
        shutil.rmtree(out, ignore_errors=True)
        expected: dict[str, str] = {}
        for folder in part:
            single.append(timed(alone(folder, out), log))
            expected |= digests(out)
            shutil.rmtree(out)
        batch.append(timed(together(part, out, work / "RUNS.toml"), log))
        same = digests(out) == expected
        shutil.rmtree(out)
        each = statistics.mean(s for s, _ in single[first:])
        print(
            f"{first + len(part)} of {len(folders)}: {each:.1f} s alone, "
            f"{batch[-1][0] / len(part):.1f} s in a batch; "
            + ("the same files" if same else "OTHER FILES"),
            flush=True,
        )
        if not same:
            return 1
    print(f"\n{options.shape}, {len(folders)} adapters in parts of {options.part}, "
          f"{os.cpu_count()} processors\n")  # fmt: skip
    print("| | wall, s a release | processor, s a release |")
    print("| --- | ---: | ---: |")
    for name, rows in (("alone", single), ("batch", batch)):
        wall, work_done = (sum(row[n] for row in rows) / len(folders) for n in (0, 1))
        print(f"| {name} | {wall:.1f} | {work_done:.1f} |")
    ratio = sum(s for s, _ in single) / sum(s for s, _ in batch)
    print(f"\nalone / batch = {ratio:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
