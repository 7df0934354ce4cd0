"""What codes stand for here is what they stand for in mlx."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
import torch

from uploader_mlx.decode import decode, step
from uploader_mlx.encode import encode
from uploader_mlx.kinds import KINDS, Part, plain

PLAIN = [name for name in KINDS if not name.startswith("mixed")]
_TORCH = {"U32": torch.int32, "U8": torch.uint8, "BF16": torch.bfloat16}


@pytest.mark.parametrize("name", PLAIN)
def test_decoded_as_by_mlx(name: str) -> None:
    how = plain(name, 64)
    assert how is not None
    torch.manual_seed(1)
    rows = (torch.randn(32, 256) * torch.logspace(-3, 1, 32)[:, None]).bfloat16()
    parts: list[torch.Tensor] = []
    for part, data in zip(how.parts("m", "BF16", (32, 256)), encode(how, rows), strict=True):
        parts.append(torch.frombuffer(data, dtype=_TORCH[part.dtype]).reshape(part.shape))
    found, scales = decode(how, parts)
    again = [_array(part) for part in parts]
    theirs = mx.dequantize(
        *again, group_size=how.group, bits=how.bits, mode=how.mode, dtype=mx.float32
    )
    np.testing.assert_allclose(found.numpy(), np.array(theirs), rtol=1e-6, atol=1e-9)
    assert bool(((found - rows.double()).abs() <= step(how, rows.double(), scales)).all())


def _array(part: torch.Tensor) -> mx.array:
    if part.dtype == torch.bfloat16:
        return mx.array(part.view(torch.int16).numpy()).view(mx.bfloat16).astype(mx.float32)
    array = mx.array(part.numpy())
    return array.view(mx.uint32) if part.dtype == torch.int32 else array


def test_parts_are_as_long_as_their_shapes_say() -> None:
    how = plain("6bit", 32)
    assert how is not None
    assert how.parts("m", "F16", (2, 3, 64)) == (
        Part(name="m.weight", dtype="U32", shape=(2, 3, 12)),
        Part(name="m.scales", dtype="F16", shape=(2, 3, 2)),
        Part(name="m.biases", dtype="F16", shape=(2, 3, 2)),
    )
