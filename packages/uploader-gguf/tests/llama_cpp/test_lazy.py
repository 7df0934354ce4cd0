"""Memory is bounded by a block of rows, whatever the size of the largest tensor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import gguf_llamas
from gguf_llamas import byte_level_tokenizer, llama

TOKENS, WIDTH = 1 << 16, 1024
EMBEDDING = 4 * TOKENS * WIDTH
"""Bytes of the embedding in float32: 256 MiB."""

ROOM = EMBEDDING
"""Bytes that the process may take beyond what it has after converting a model of 400 tokens.

Evaluated whole, the embedding needs these for itself and half as many for what it is made of.
Arenas and stacks of threads are counted too, and how many there are differs between runs.
"""

_CHILD = """
import os, re, resource, sys
from pathlib import Path

os.cpu_count = lambda: 2  # stacks for thirty threads are as much as the room

here, small, large, place, room, way = sys.argv[1:]
sys.path.insert(0, here)
from gguf_oracles import convert
from uploader_gguf.llama_cpp import lazy

def make(folder):
    kinds = ("F16", "Q8_0", "Q4_0")
    target = Path(place) / Path(folder).name
    convert(Path(folder), target, kinds, smoke_test=False, tokenizer_check=False)

make(small)  # imports, threads, tables of the quantiser
taken = int(re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (taken + int(room),) * 2)
if way == "whole":
    lazy._pieces = lambda *_: None  # as the converter would evaluate it
try:
    make(large)
except (MemoryError, RuntimeError) as error:
    sys.exit(f"no room: {error}")
"""


def run(small: Path, large: Path, place: Path, way: str) -> subprocess.CompletedProcess[str]:
    here = str(Path(gguf_llamas.__file__).parent)
    command = [sys.executable, "-c", _CHILD, here, str(small), str(large), str(place), str(ROOM)]
    return subprocess.run([*command, way], capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_an_embedding_is_never_in_memory_as_a_whole(odd_folder: Path, tmp_path: Path) -> None:
    large = llama(
        tmp_path / "Large",
        hidden=WIDTH,
        dtype=torch.bfloat16,
        tokenizer=lambda folder: byte_level_tokenizer(folder) and TOKENS,
        tie_word_embeddings=True,
        num_hidden_layers=1,
        intermediate_size=256,
    )
    blocks = run(odd_folder, large, tmp_path / "blocks", "blocks")
    assert blocks.returncode == 0, blocks.stderr[-2000:]
    made = {path.name: path.stat().st_size for path in (tmp_path / "blocks").rglob("*.gguf")}
    assert made["Large-F16.gguf"] > EMBEDDING // 2
    # The limit means something: evaluated whole, the same model does not fit.
    whole = run(odd_folder, large, tmp_path / "whole", "whole")
    assert whole.returncode != 0
    assert "no room" in whole.stderr
