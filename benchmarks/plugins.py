"""What a hundred installed plugins cost a command that needs none of them.

Each of the hundred imports torch at module level, as a bad plugin would. Rounds are interleaved:
every command with none, then every command with a hundred, and so on; the smallest CPU time counts.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "uploader --version": ["-m", "uploader_core", "--version"],
    "uploader --help": ["-m", "uploader_core", "--help"],
    "uploader plugins list": ["-m", "uploader_core", "plugins", "list"],
    "uploader run --help": ["-m", "uploader_core", "run", "--plugins", "lora", "--help"],
}


def make_crowd(folder: Path, count: int) -> None:
    """Write distributions whose plugin modules import torch."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        name = f"crowd_{n:03}"
        (folder / f"{name}.py").write_text("import torch\n", "utf-8")
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: number {n}\n"
        (info / "METADATA").write_text(metadata, "utf-8")
        (info / "entry_points.txt").write_text(
            f"[uploader_core.plugins]\n{name.replace('_', '-')} = {name}\n"
            f"[uploader_core.artifacts]\n{name}.kind = {name}\n",
            "utf-8",
        )


def milliseconds(arguments: list[str], path: Path) -> float:
    """Return the CPU time of one process, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(path)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shape", default="", help="not used; every benchmark takes it")
    options = parser.parse_args()
    crowds = {0: options.work / "none", 100: options.work / "hundred"}
    for count, folder in crowds.items():
        make_crowd(folder, count)
    best: dict[tuple[str, int], float] = {}
    for _ in range(options.rounds):
        for count, folder in crowds.items():
            for name, arguments in COMMANDS.items():
                key = (name, count)
                best[key] = min(best.get(key, 1e9), milliseconds(arguments, folder))
    bare = best["python -c pass", 0]
    print("| command | 0 plugins, ms | 100 plugins, ms | ratio | 100, over the interpreter, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in COMMANDS:
        none, hundred = best[name, 0], best[name, 100]
        row = f"{none:.0f} | {hundred:.0f} | {hundred / none:.2f} | {hundred - bare:.0f}"
        print(f"| `{name}` | {row} |")


if __name__ == "__main__":
    main()
