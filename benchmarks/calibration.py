"""What calibration is worth: divergence with and without it, from base and adapter.

    python benchmarks/calibration.py --shape 135m --work /tmp/bench

The model is that of ``uploader demo`` (``--shape tiny``) or ``uploader demo --real`` (``135m``),
made once in the work folder. One release has ``w4a16``, ``w4a16-gptq``, ``w8a8`` and ``w8a8-gptq``,
measured with ``--measure``. Exits with 1 when a calibrated INT4 folder is not nearer by a fifth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

PAIRS = (("w4a16", "w4a16-gptq"), ("w8a8", "w8a8-gptq"))
DEMOS = {"tiny": [], "135m": ["--real"]}
GROUP = {"tiny": 128, "135m": 64}
"""Columns that share a scale; 576 of SmolLM2 are no multiple of 128."""


def uploader(*arguments: object) -> None:
    command = [sys.executable, "-m", "uploader_core", *(str(a) for a in arguments)]
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=DEMOS, default="tiny")
    parser.add_argument("--rounds", type=int, default=1, help="of no use: the numbers are exact")
    parser.add_argument("--contexts", type=int, default=8, help="of 512 tokens, to measure on")
    parser.add_argument("--text", default="builtin", help="to calibrate on")
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    demo = arguments.work / arguments.shape
    output = arguments.work / f"{arguments.shape}-calibrated"
    if not (demo / "run" / "final_model").is_dir():
        uploader("demo", "--dir", demo, *DEMOS[arguments.shape])
    kinds = [kind for pair in PAIRS for kind in pair]
    uploader(
        "run", demo / "run" / "final_model", "--plugins", "compressed", "--output", output,
        "--compressed-kinds", ",".join(kinds), "--compressed-group-size", GROUP[arguments.shape],
        "--compressed-calibration", arguments.text,
        "--measure", "--compressed-measure-contexts", arguments.contexts, "--yes",
    )  # fmt: skip
    found = {}
    for kind in kinds:
        data = json.loads((output / f"compressed-{kind}" / "fidelity.json").read_text("utf-8"))
        (found[kind],) = data["models"]
    print("| | KL divergence | calibrated | ratio | same next token | calibrated |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    ratios = {}
    for plain, fitted in PAIRS:
        ours, theirs = found[fitted], found[plain]
        ratios[plain] = ours["kl_mean"] / theirs["kl_mean"]
        print(
            f"| {plain} | {theirs['kl_mean']:.4g} | {ours['kl_mean']:.4g} | {ratios[plain]:.2f} "
            f"| {theirs['top1']:.1%} | {ours['top1']:.1%} |"
        )
    sys.exit(ratios["w4a16"] > 0.8)


if __name__ == "__main__":
    main()
