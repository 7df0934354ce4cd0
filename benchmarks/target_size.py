"""What a chosen mixture is worth: its divergence against that of a stock mixture of the same size.

    python benchmarks/target_size.py --shape 135m --work /tmp/bench

The model is that of ``uploader demo`` (``--shape tiny``) or ``uploader demo --real`` (``135m``),
made once in the work folder. Stock mixtures are released and measured with ``--measure``, then one
file for the size of each, by ``--gguf-target-size``. Exits with 1 when a file is too large, or
farther from the model than the stock one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

STOCK = ("Q3_K_M", "Q4_K_M", "Q5_K_M")
DEMOS = {"tiny": [], "135m": ["--real"]}


def uploader(*arguments: object) -> None:
    command = [sys.executable, "-m", "uploader_core", *(str(a) for a in arguments)]
    subprocess.run(command, check=True, capture_output=True)


def measured(adapter: Path, output: Path, contexts: int, *options: str) -> dict[str, Any]:
    """Release and measure; return what is said of each file by its kind."""
    if not (output / "gguf" / "fidelity.json").is_file():
        command = ["run", adapter, "--plugins", "gguf", "--output", output, "--measure", "--yes"]
        uploader(*command, "--gguf-measure-contexts", contexts, *options)
    found = json.loads((output / "gguf" / "fidelity.json").read_text("utf-8"))
    return {model["name"]: model for model in found["models"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=DEMOS, default="tiny")
    parser.add_argument("--rounds", type=int, default=1, help="of no use: the numbers are exact")
    parser.add_argument("--contexts", type=int, default=8, help="of 512 tokens, to measure on")
    parser.add_argument("--importance", action="store_true", help="weigh errors by a calibration")
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    more = ["--gguf-calibration", "builtin"] if arguments.importance else []
    label = arguments.shape + ("-importance" if more else "")
    demo, out = arguments.work / arguments.shape, arguments.work / f"{label}-releases"
    adapter, contexts = demo / "run" / "final_model", arguments.contexts
    if not adapter.is_dir():
        uploader("demo", "--dir", demo, *DEMOS[arguments.shape])
    stock = measured(adapter, out / "stock", contexts, "--gguf-quants", ",".join(STOCK), *more)
    print("| budget: the size of | bytes | KL divergence | chosen, bytes | KL divergence | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    worse = False
    for name in STOCK:
        theirs = stock[name]
        (ours,) = measured(
            adapter,
            out / f"for-{name}",
            contexts,
            "--gguf-target-size",
            str(theirs["bytes"]),
            *more,
        ).values()
        ratio = ours["kl_mean"] / theirs["kl_mean"]
        worse |= ratio > 1 or ours["bytes"] > theirs["bytes"]
        print(
            f"| {name} | {theirs['bytes']:,} | {theirs['kl_mean']:.4f} | {ours['bytes']:,} "
            f"| {ours['kl_mean']:.4f} | {ratio:.2f} |"
        )
    sys.exit(worse)


if __name__ == "__main__":
    main()
