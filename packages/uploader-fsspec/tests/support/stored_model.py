"""A model as somebody put it into a bucket."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping


def weights(size: int, seed: int = 0) -> bytes:
    """Return a file of safetensors with one tensor of some bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    content = random.Random(seed).randbytes(size)
    return len(header).to_bytes(8, "little") + header + content


MODEL: Mapping[str, bytes] = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": weights(3_000_000),
    # Nothing of these is part of a release.
    "optimizer.pt": b"\x80" * 1000,
    "pytorch_model.bin": b"\x80" * 1000,
    "modeling_x.py": b"import os",
    "checkpoint-1/config.json": b"{}",
}
