"""Quantise the inputs of products as servers do, by compressed-tensors' own functions. Heavy."""

from __future__ import annotations

import torch  # noqa: TID253 - this module computes

from uploader_compressed.schemes import Scheme
from uploader_merged.forward.logits import Instead


def served_inputs(scheme: Scheme, quantised: frozenset[str]) -> Instead | None:
    """Return what inputs become; None where a scheme leaves them in 16 bits.

    Args:
        scheme: Says how a server quantises them.
        quantised: Matrices of the checkpoint whose inputs are.
    """
    if scheme.activations is None:
        return None
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import fake_quantize
    from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp

    args = QuantizationArgs(**scheme.activations)

    def instead(names: tuple[str, ...], rows: torch.Tensor) -> torch.Tensor | None:
        if quantised.isdisjoint(names):
            return None
        # With an axis for texts: of two axes it takes one scale for all tokens.
        value = rows[None]
        scale, zero = compute_dynamic_scales_and_zp(value, args, torch.nn.Identity())
        found: torch.Tensor = fake_quantize(value, scale, zero, args)
        return found[0]

    return instead
