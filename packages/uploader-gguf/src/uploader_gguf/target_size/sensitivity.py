"""How much a model loses when one of its tensors loses a share of its energy.

Rounding errors of different tensors add up, and the divergence from the unquantised model grows
with their squares, so the prediction is a sum: for each tensor, the share of energy that it loses,
times a factor that says what that does to the outputs. The factors depend on the role of a tensor
and not on how many weights it has, which is why small matrices (attn_v) are worth more bits. They
were measured: each role alone in 4 bits and all else in F16, on a model of 135M parameters with 30
layers and on one of 2 layers, divergence by share of energy lost.
"""

from __future__ import annotations

import re

from uploader_gguf.format.shapes import ModelShape
from uploader_gguf.format.tensor_roles import category

_ROLES = {
    "v": 0.36,
    "kv_b": 0.36,
    "qkv": 0.36,
    "down": 0.50,
    "up": 0.19,
    "gate": 0.15,
    "q": 0.10,
    "o": 0.09,
    "k": 0.08,
    "other": 0.15,
    "output": 2.0,
    "embedding": 1.5,
}
_TIED = 3.2
"""Of token embeddings that are the output matrix as well."""

_LATE = 0.6
"""In the last third of the layers there is less left to disturb."""


def sensitivity(name: str, model: ModelShape, *, tied: bool) -> float:
    """Return the divergence, in nats, for each share of energy that a tensor loses.

    Args:
        name: GGUF name.
        model: That it belongs to.
        tied: Whether the token embeddings are the output matrix, too.
    """
    role = category(name)
    if tied and name == "token_embd.weight":
        return _TIED
    block = re.match(r"blk\.(\d+)\.", name)
    late = block is not None and 3 * int(block[1]) >= 2 * model.layers
    return _ROLES[role] * (_LATE if late else 1.0)
