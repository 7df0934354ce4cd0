"""From base and adapter to three GGUF files: the usual chain against uploader, as whole processes.

The chain is what people run: peft merges and saves, ``convert_hf_to_gguf.py`` writes F16, and
llama.cpp's quantiser runs once for each kind. Both sides start from the same base and adapter with
random weights and a vocabulary of the real size, in turns, round by round.

    python benchmarks/gguf_pipeline.py --shape 0.5b --rounds 3 --work /big/disk

Every process starts with compiled bytecode (one untimed round), and memory is the largest
anonymous memory of a process tree, sampled, because pages of mapped files are not ours to count.
"""

from __future__ import annotations

import argparse
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

KINDS = ("Q4_K_M", "Q5_K_M", "Q8_0")
SHAPES = {
    "tiny": ("qwen2", 2000, 256, 512, 4, 4, 2, True),
    "0.5b": ("qwen2", 151936, 896, 4864, 24, 14, 2, True),
    "3b": ("llama", 128256, 3072, 8192, 28, 24, 8, True),
}

_MERGE = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter, out = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(out)
AutoTokenizer.from_pretrained(base).save_pretrained(out)
"""
_CONVERT = """
import runpy, sys
root = sys.argv.pop(1)
sys.path[:0] = [root, root + "/gguf-py"]
from conversion.base import TextModel
TextModel.get_vocab_base_pre = lambda *_: "gpt-2"
sys.argv[0] = root + "/convert_hf_to_gguf.py"
runpy.run_path(sys.argv[0], run_name="__main__")
"""
_QUANTIZE = """
import sys
from cyllama.llama import llama_cpp
parameters = llama_cpp.LlamaModelQuantizeParams()
parameters.ftype, parameters.nthread = int(sys.argv[3]), int(sys.argv[4])
llama_cpp.model_quantize(sys.argv[1], sys.argv[2], parameters)
"""


def build(shape: str, place: Path) -> tuple[Path, Path]:
    """Write base and adapter, unless they are there."""
    import torch
    from safetensors.torch import save_file

    base, adapter = place / f"base-{shape}", place / f"adapter-{shape}"
    if adapter.exists():
        return base, adapter
    kind, vocabulary, hidden, inner, layers, heads, kv_heads, tied = SHAPES[shape]
    base.mkdir(parents=True)
    write_tokenizer(base, vocabulary)
    config = {
        "architectures": ["Qwen2ForCausalLM" if kind == "qwen2" else "LlamaForCausalLM"],
        "model_type": kind,
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
    }
    (base / "config.json").write_text(json.dumps(config))
    head = hidden // heads
    linear = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (kv_heads * head, hidden),
        "self_attn.v_proj": (kv_heads * head, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    generator = torch.Generator().manual_seed(0)

    def random(*size: int, scale: float = 0.02) -> torch.Tensor:
        return (torch.randn(*size, generator=generator) * scale).to(torch.bfloat16)

    tensors = {
        "model.embed_tokens.weight": random(vocabulary, hidden),
        "model.norm.weight": torch.ones(hidden, dtype=torch.bfloat16),
    }
    lora = {}
    for layer in range(layers):
        name = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{name}.{norm}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
        for module, (rows, columns) in linear.items():
            tensors[f"{name}.{module}.weight"] = random(rows, columns)
            if kind == "qwen2" and module[-6:] in ("q_proj", "k_proj", "v_proj"):
                tensors[f"{name}.{module}.bias"] = random(rows)
            prefix = f"base_model.model.{name}.{module}"
            lora[f"{prefix}.lora_A.weight"] = random(16, columns).float()
            lora[f"{prefix}.lora_B.weight"] = random(rows, 16).float()
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    adapter.mkdir()
    save_file(lora, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    flags = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": 16,
        "lora_alpha": 32,
        "target_modules": sorted({m.split(".")[1] for m in linear}),
        "base_model_name_or_path": str(base),
    }
    (adapter / "adapter_config.json").write_text(json.dumps(flags))
    return base, adapter


def write_tokenizer(folder: Path, size: int) -> None:
    """Write a byte-level tokenizer of a real size: pairs of bytes, then pairs with a byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|endoftext|>": 0}
    vocabulary |= {letter: i + 1 for i, letter in enumerate(letters)}
    merges: list[tuple[str, str]] = []
    parts = letters
    while len(vocabulary) < size - 64:
        grown = []
        for left in parts:
            for right in letters:
                if len(vocabulary) >= size - 64:
                    break
                vocabulary[left + right] = len(vocabulary)
                merges.append((left, right))
                grown.append(left + right)
        parts = grown
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    flags = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(flags))


class Memory(threading.Thread):
    """Samples the largest anonymous memory of any process below this one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.largest, self.stop = 0, threading.Event()

    def run(self) -> None:
        import psutil

        me = psutil.Process()
        while not self.stop.wait(0.05):
            for child in me.children(recursive=True):
                try:
                    text = Path(f"/proc/{child.pid}/status").read_text()
                except OSError:
                    continue
                for line in text.splitlines():
                    if line.startswith("RssAnon"):
                        self.largest = max(self.largest, int(line.split()[1]) * 1024)


def timed(commands: list[list[str]], log: Path) -> tuple[float, float, int]:
    """Run commands one after the other and return (seconds, processor seconds, memory)."""
    memory = Memory()
    memory.start()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with log.open("a") as handle:
        for command in commands:
            subprocess.run(command, check=True, stdout=handle, stderr=handle)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory.stop.set()
    memory.join()
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, work, memory.largest


def chain(base: Path, adapter: Path, out: Path) -> list[list[str]]:
    """Return the usual commands."""
    from uploader_gguf.format.quants import QUANTS
    from uploader_gguf.llama_cpp import toolchain

    half, python, threads = out / "f16.gguf", sys.executable, str(os.cpu_count())
    root = str(toolchain.find().root)
    merge = [python, "-c", _MERGE, str(base), str(adapter), str(out / "merged")]
    convert = [python, "-c", _CONVERT, root, str(out / "merged"), "--outfile", str(half)]
    quantize = [
        [python, "-c", _QUANTIZE, str(half), str(out / f"{k}.gguf"), str(QUANTS[k].ftype), threads]
        for k in KINDS
    ]
    return [merge, [*convert, "--outtype", "f16"], *quantize]


def ours(base: Path, adapter: Path, out: Path, checks: bool) -> list[list[str]]:
    """Return our one command."""
    command = [sys.executable, "-m", "uploader_core", "run", str(adapter), "--base", str(base)]
    command += ["--plugins", "gguf", "--gguf-quants", ",".join(KINDS), "--output", str(out)]
    flags = ["--no-gguf-smoke-test", "--no-gguf-tokenizer-check"]
    return [[*command, "--yes", *([] if checks else flags)]]


def size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", choices=["chain", "ours", "ours-checked"])
    options = parser.parse_args()
    work = options.work.resolve()
    results: dict[str, list[tuple[float, float, int, int]]] = {}

    def run(shape: str, keep: bool) -> None:
        base, adapter = build(shape, work)
        for name in ("chain", "ours", "ours-checked"):
            if options.only not in (None, name):
                continue
            out = work / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            commands = chain(base, adapter, out)
            if name != "chain":
                commands = ours(base, adapter, out, name == "ours-checked")
            seconds, processor, memory = timed(commands, work / "log.txt")
            if keep:
                results.setdefault(name, []).append((seconds, processor, memory, size(out)))
                print(f"{name}: {seconds:.1f} s, processor {processor:.1f} s", flush=True)
            shutil.rmtree(out)

    run("tiny", keep=False)
    for _ in range(options.rounds):
        run(options.shape, keep=True)
    print(f"\n{options.shape}, {options.rounds} rounds, {os.cpu_count()} cores")
    print("| | seconds, median [all] | processor seconds | memory | new disk |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, rows in results.items():
        times = ", ".join(f"{row[0]:.1f}" for row in rows)
        median = statistics.median(row[0] for row in rows)
        work = statistics.median(row[1] for row in rows)
        memory, disk = max(row[2] for row in rows) / 1e6, max(row[3] for row in rows) / 1e6
        print(f"| {name} | {median:.1f} [{times}] | {work:.1f} | {memory:.0f} MB | {disk:.0f} MB |")
    if {"chain", "ours"} <= results.keys():
        medians = [statistics.median(r[0] for r in results[n]) for n in ("chain", "ours")]
        print(f"\nchain / ours = {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
