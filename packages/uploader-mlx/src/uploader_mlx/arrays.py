"""Arrays of mlx and tensors of torch, and how both spell types. Heavy: mlx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlx.core as mx

if TYPE_CHECKING:
    import torch

DTYPES = {
    "BOOL": mx.bool_, "U8": mx.uint8, "I8": mx.int8, "U16": mx.uint16, "I16": mx.int16,
    "U32": mx.uint32, "I32": mx.int32, "U64": mx.uint64, "I64": mx.int64,
    "F16": mx.float16, "BF16": mx.bfloat16, "F32": mx.float32, "F64": mx.float64,
}  # fmt: skip
"""mlx's types by safetensors names."""

SPELLED = {dtype: name for name, dtype in DTYPES.items()}
"""The other way round."""


def from_torch(tensor: torch.Tensor) -> mx.array:
    """Return a copy in mlx's memory, of the same bits."""
    import torch  # torch is here already where there is a tensor of it

    if tensor.dtype == torch.bfloat16:
        return mx.array(tensor.contiguous().view(torch.int16).numpy()).view(mx.bfloat16)
    return mx.array(tensor.contiguous().numpy())


def content(array: mx.array) -> memoryview:
    """Return the bytes of an array; it is computed if it was not yet."""
    flat = mx.contiguous(array).reshape(-1)
    if array.dtype == mx.bfloat16:
        flat = flat.view(mx.uint16)
    mx.eval(flat)
    plain: Any = flat  # it has the protocol of buffers, and its stubs do not say so
    return memoryview(plain).cast("B")
