"""Base and adapter to MLX, against peft's merge and ``mlx_lm.convert`` for each kind.

    python benchmarks/mlx_speed.py --shape 0.5b --work /tmp/bench --kinds 4bit,8bit --chain

``ours`` makes all kinds in one process (hashes, fsync, proof). The chain is what people do: peft
loads, merges and saves, and ``mlx_lm.convert`` reads that folder once for each kind. Each is a
process of its own, in turns, all with fsync. Memory is the peak of private pages (RssAnon) above
what the process had after its imports. At the end every tensor of both is compared.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import time
from pathlib import Path

from compressed import measure
from merge_speed import SHAPES, Memory, make, make_durable, report, run_peft

KINDS = ("4bit", "8bit")


def run_ours(base: Path, adapter: Path, target: Path, kinds: list[str]) -> None:
    from uploader_core.plugin import Artifact, OutputFolder, ReleaseInfo, StepContext
    from uploader_mlx.save import save
    from uploader_mlx.settings import QuantSettings

    memory, started = Memory(), time.perf_counter()
    metadata = {"base": str(base), "adapters": [[str(adapter), 1.0]]}
    save(
        tuple(
            StepContext(
                step=f"benchmark-{kind}",
                inputs=(Artifact(kind="checkpoint", path=base, metadata=metadata),),
                settings=QuantSettings(quants=tuple(kinds)),
                release=ReleaseInfo(name="x", source="adapter"),
                output=OutputFolder(
                    target / kind, target / "scratch" / kind, target / "units" / kind
                ),
                work=target / "scratch" / kind,
                produces=f"mlx-quantised-{kind}",
                variant=kind,
            )
            for kind in kinds
        )
    )
    report(started, memory)


def run_convert(merged: Path, target: Path, kind: str) -> None:
    from mlx_lm.convert import convert

    memory, started = Memory(), time.perf_counter()
    chosen = {"q_bits": int(kind[0])} if kind.endswith("bit") else {"q_mode": kind}
    with contextlib.redirect_stdout(sys.stderr):
        convert(str(merged), str(target), quantize=True, **chosen)
    make_durable(target)
    report(started, memory)


def differing(ours: Path, theirs: Path) -> list[str]:
    """Return names of tensors that are not equal, bit for bit, or not in both."""
    import mlx.core as mx

    left, right = (
        {name: array for file in sorted(folder.glob("model*.safetensors"))
         for name, array in mx.load(str(file)).items()}
        for folder in (ours, theirs)
    )  # fmt: skip
    found = sorted(left.keys() ^ right.keys())
    for name in sorted(left.keys() & right.keys()):
        same = left[name].dtype == right[name].dtype and left[name].shape == right[name].shape
        if not same or not mx.array_equal(left[name].view(mx.uint8), right[name].view(mx.uint8)):
            found.append(name)
    return found


def put_tokenizer(folder: Path) -> None:
    """Put a tokenizer of three words, which mlx-lm asks for."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "a": 2}, unk_token="<s>"))
    PreTrainedTokenizerFast(tokenizer_object=words, bos_token="<s>").save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--chain", action="store_true", help="also peft and mlx_lm.convert")
    parser.add_argument("--run", choices=["ours", "peft", "convert"])
    parser.add_argument("--base", type=Path)
    parser.add_argument("--adapter", type=Path)
    arguments = parser.parse_args()
    kinds = arguments.kinds.split(",")
    if arguments.run == "ours":
        return run_ours(arguments.base, arguments.adapter, arguments.work, kinds)
    if arguments.run == "peft":
        return run_peft(arguments.base, arguments.adapter, arguments.work, four_bit=False)
    if arguments.run == "convert":
        return run_convert(arguments.base, arguments.work, kinds[0])
    arguments.work.mkdir(parents=True, exist_ok=True)
    base, adapter = make(arguments.shape, arguments.work)
    put_tokenizer(base)
    ours, theirs = arguments.work / "ours", arguments.work / "theirs"
    me: list[object] = [sys.executable, __file__, "--shape", arguments.shape]
    common = ["--base", base, "--adapter", adapter]
    rounds: dict[str, list[float]] = {}
    for number in range(arguments.rounds):
        for folder in (ours, theirs):
            shutil.rmtree(folder, ignore_errors=True)
        calls: dict[str, list[object]] = {
            "ours": ["--run", "ours", *common, "--work", ours, "--kinds", arguments.kinds]
        }
        if arguments.chain:
            calls["peft"] = ["--run", "peft", *common, "--work", theirs]
            for kind in kinds:
                calls[f"convert {kind}"] = [
                    "--run", "convert", "--base", theirs / "out", "--work", theirs / kind,
                    "--kinds", kind,
                ]  # fmt: skip
        for who, options in calls.items():
            if who.startswith("convert"):
                put_tokenizer(theirs / "out")
            found = measure([*me, *options])
            rounds.setdefault(who, []).append(found["wall"])
            result = ", ".join(f"{k} {v:.2f}" for k, v in found.items())
            print(f"round {number + 1}  {who:14} {result}", flush=True)
    if arguments.chain:
        parts = [walls for who, walls in rounds.items() if who != "ours"]
        chain = [sum(walls) for walls in zip(*parts, strict=True)]
        ratio = statistics.median(chain) / statistics.median(rounds["ours"])
        print(f"peft and mlx_lm.convert / ours, whole processes, medians: {ratio:.1f}")
        for kind in kinds:
            print(f"{kind}: tensors that differ: {differing(ours / kind, theirs / kind) or 'none'}")
    for folder in (ours, theirs):
        shutil.rmtree(folder, ignore_errors=True)
    return None


if __name__ == "__main__":
    main()
