"""Merging against copying and against peft: wall time, CPU time, private memory.

    python benchmarks/merge_speed.py --shape 0.5b --rounds 5 --work /tmp/bench [--peft]

Models of real shapes with random weights are made once in the work folder. Each round runs, one
after the other and each in a process of its own: ``cp`` of the base, our merge (hashes and proof
included), and on demand peft's merge and save, all with fsync. ``inner`` is the time of the work
itself, without interpreter start and imports; memory is the peak of private pages (RssAnon) above
what the process had after its imports. ``least`` imports torch and hashes as many bytes as are
written, in one thread: no merge that says what it wrote can be faster. With --four-bit, our
merged-4bit and transformers' load-with-quantise and save are compared instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

SHAPES = {
    # hidden, intermediate, layers, heads, kv heads, head dim, vocabulary, tied, model type
    "0.5b": (896, 4864, 24, 14, 2, 64, 151936, True, "qwen2"),
    "3b": (3072, 8192, 28, 24, 8, 128, 128256, True, "llama"),
    "100mb": (512, 2048, 8, 8, 4, 64, 32000, True, "llama"),
    "tiny": (256, 512, 4, 4, 2, 64, 1024, True, "llama"),
}
RANK, ALPHA = 16, 32
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def make(shape: str, folder: Path) -> tuple[Path, Path]:
    """Write base and adapter once."""
    base, adapter = folder / f"{shape}-base", folder / f"{shape}-adapter"
    if (adapter / "adapter_config.json").exists():
        return base, adapter
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    hidden, inner, layers, heads, kv, dim, vocabulary, tied, kind = SHAPES[shape]
    config = AutoConfig.for_model(
        kind,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv,
        head_dim=dim,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        max_position_embeddings=4096,
    )
    torch.set_default_dtype(torch.bfloat16)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(base, max_shard_size="5GB")
    tuned = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=LINEAR))
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    tuned.save_pretrained(adapter)
    return base, adapter


class Memory(threading.Thread):
    """Samples the private memory of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = anonymous()
        self.start()

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, anonymous())
            time.sleep(0.005)

    @property
    def megabytes(self) -> float:
        return (self.peak - self.before) / 2**20


def anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    return 0


def report(started: float, memory: Memory) -> None:
    inner = time.perf_counter() - started
    print(json.dumps({"inner": inner, "anonymous_mb": memory.megabytes}))


def run_ours(base: Path, adapter: Path, target: Path, four_bit: bool) -> None:
    from uploader_core.plugin import Artifact, OutputFolder, ReleaseInfo, StepContext
    from uploader_merged.settings import Merged4Settings, Merged16Settings

    if four_bit:
        from uploader_merged.four_bit.save import save
    else:
        from uploader_merged.sixteen_bit.save import save
    memory, started = Memory(), time.perf_counter()
    save(
        StepContext(
            step="benchmark",
            inputs=(
                Artifact(
                    kind="checkpoint",
                    path=base,
                    metadata={"base": str(base), "adapters": [[str(adapter), 1.0]]},
                ),
            ),
            settings=Merged4Settings() if four_bit else Merged16Settings(),
            release=ReleaseInfo(name="x", source="adapter"),
            output=OutputFolder(target / "out", target / "scratch", target / "units"),
            work=target / "scratch",
            produces="x",
        )
    )
    report(started, memory)


def run_peft(base: Path, adapter: Path, target: Path, four_bit: bool) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    if four_bit:
        import bitsandbytes  # noqa: F401
        from transformers import BitsAndBytesConfig

    memory, started = Memory(), time.perf_counter()
    if four_bit:
        config = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
        )
        model = AutoModelForCausalLM.from_pretrained(base, quantization_config=config)
    else:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model.save_pretrained(target / "out")
    make_durable(target / "out")
    report(started, memory)


def make_durable(folder: Path) -> None:
    """Wait until a folder's files are on disk, as our writer does."""
    for file in folder.iterdir():
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def run_cp(base: Path, target: Path) -> None:
    """Copy the weights as ``cp`` does, and make them durable."""
    started = time.perf_counter()
    (target / "out").mkdir(parents=True)
    subprocess.run(["cp", "-r", f"{base}/.", str(target / "out")], check=True)
    make_durable(target / "out")
    print(json.dumps({"inner": time.perf_counter() - started, "anonymous_mb": 0}))


def run_least(base: Path) -> None:
    """Do what every merge of this kind has to do, and nothing else: import torch, hash."""
    import torch  # noqa: F401

    started = time.perf_counter()
    digest = hashlib.sha256()
    block = bytearray(8 << 20)
    for path in sorted(base.glob("*.safetensors")):
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(block):
                digest.update(memoryview(block)[:count])
    print(json.dumps({"inner": time.perf_counter() - started, "anonymous_mb": 0}))


def measure(who: str, arguments: argparse.Namespace, base: Path, adapter: Path) -> dict[str, float]:
    target = arguments.work / "target"
    shutil.rmtree(target, ignore_errors=True)
    argv = [sys.executable, __file__, "--run", who, "--base", base, "--adapter", adapter]
    argv += ["--work", target, *(["--four-bit"] if arguments.four_bit else [])]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run([str(a) for a in argv], check=True, capture_output=True, text=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(target, ignore_errors=True)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peft", action="store_true")
    parser.add_argument("--four-bit", action="store_true")
    parser.add_argument("--run", choices=["cp", "ours", "peft", "least"])
    parser.add_argument("--base", type=Path)
    parser.add_argument("--adapter", type=Path)
    arguments = parser.parse_args()
    if arguments.run == "cp":
        return run_cp(arguments.base, arguments.work)
    if arguments.run == "least":
        return run_least(arguments.base)
    if arguments.run is not None:
        run = run_ours if arguments.run == "ours" else run_peft
        return run(arguments.base, arguments.adapter, arguments.work, arguments.four_bit)
    arguments.work.mkdir(parents=True, exist_ok=True)
    base, adapter = make(arguments.shape, arguments.work)
    who = ["cp", "ours", *(["peft", "least"] if arguments.peft else [])]
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in who}
    for number in range(arguments.rounds):
        for name in who:
            rounds[name].append(measure(name, arguments, base, adapter))
            result = ", ".join(f"{k} {v:.2f}" for k, v in rounds[name][-1].items())
            print(f"round {number + 1}  {name:5} {result}", flush=True)
    pairs = [o["inner"] / c["inner"] for o, c in zip(rounds["ours"], rounds["cp"], strict=True)]
    print(f"ours / cp, inner, pairs: {', '.join(f'{p:.2f}' for p in pairs)}")
    print(f"ours / cp, median: {statistics.median(pairs):.2f}")
    if arguments.peft:
        slow = statistics.median(p["wall"] for p in rounds["peft"])
        for name in ("ours", "least"):
            wall = statistics.median(p["wall"] for p in rounds[name])
            print(f"peft / {name}, whole process, medians: {slow / wall:.1f}")
    return None


if __name__ == "__main__":
    main()
