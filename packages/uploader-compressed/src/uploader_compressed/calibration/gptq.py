"""Round a matrix so that what it computes on real inputs changes least (GPTQ). Heavy.

Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers"
(arXiv:2210.17323), algorithm 1, with columns in the order of their inputs' size and the scales of
the plain scheme: the layout is that of the plain scheme, too, and every reader of it reads this.
"""

from __future__ import annotations

from typing import NamedTuple

import torch  # noqa: TID253 - this module computes

from uploader_compressed.encode import scales_of
from uploader_compressed.schemes import Scheme

_COLUMNS = 128
"""Columns after which all that are left are corrected at once."""

_DAMPING = 0.01
"""Share of the mean of the diagonal that is added to it, as in the paper."""

_SHRINKAGE = 0.2
"""Share that is taken off between columns: of a text that is not long, much of what seems to go
together does so by chance (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
covariance matrices", 2004). ``benchmarks/README.md`` has what that is worth."""


class Inputs(NamedTuple):
    """What is known of the inputs of a matrix.

    Attributes:
        order: Columns, those with large inputs first.
        inverse: Upper Cholesky factor of the inverse of their products, in that order.
    """

    order: torch.Tensor
    inverse: torch.Tensor


def describe_inputs(products: torch.Tensor) -> Inputs:
    """Return what :func:`gptq` needs of inputs; matrices with the same inputs share it.

    Args:
        products: Sum over tokens of the outer products of inputs, shape (in, in), float32.
    """
    order = products.diagonal().argsort(descending=True)
    damped = products[order][:, order]
    del products
    diagonal = damped.diagonal().clone()
    damped *= 1 - _SHRINKAGE
    damped.diagonal().copy_(diagonal)
    diagonal = damped.diagonal()
    diagonal += torch.where(diagonal == 0, 1.0, 0.0)  # an input that was never there
    diagonal += _DAMPING * diagonal.mean()
    try:
        return Inputs(order, _factor(damped))
    except RuntimeError:  # torch.linalg.LinAlgError, which its types do not know
        # Fewer tokens than columns, and sums that lost digits.
        return Inputs(order, _factor(damped.double()).float())


def _factor(damped: torch.Tensor) -> torch.Tensor:
    """Return the upper Cholesky factor of the inverse; two matrices in memory at a time."""
    lower = torch.linalg.cholesky(damped)
    inverse = torch.cholesky_inverse(lower)
    del lower
    factor: torch.Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor


def gptq(scheme: Scheme, weight: torch.Tensor, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes and scales of a matrix.

    Args:
        scheme: Of whole numbers, with a scale for a row or for a group of columns.
        weight: Shape (out, in).
        inputs: Of this matrix.

    Returns:
        Codes as whole numbers, shape (out, in), float32, and scales in the type of the weight.

    Raises:
        NotFiniteError: A weight is NaN or infinite.
    """
    half = 2 ** (scheme.bits - 1)
    scale = scales_of(scheme, weight)
    order, inverse = inputs
    # A column is a row here, so that its weights follow each other.
    left = weight.float().T[order].contiguous()
    steps = scale.float().T[order // (scheme.group or len(order))]
    codes = torch.empty_like(left)
    for start in range(0, len(left), _COLUMNS):
        stop = min(start + _COLUMNS, len(left))
        part, errors = left[start:stop], torch.empty(stop - start, left.shape[1])
        for at in range(start, stop):
            row = part[at - start]
            torch.div(row, steps[at], out=codes[at]).round_().clamp_(-half, half - 1)
            error = row.sub(codes[at] * steps[at]).div_(inverse[at, at])
            part[at - start :].addr_(inverse[at, at:stop], error, alpha=-1)
            errors[at - start] = error
        left[stop:].addmm_(inverse[start:stop, stop:].T, errors, alpha=-1)
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order))
    return codes[back].T.contiguous(), scale
