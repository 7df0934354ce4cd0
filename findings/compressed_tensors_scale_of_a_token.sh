#!/usr/bin/env bash
# compressed-tensors 0.20.1, torch 2.13.0, CPU
#
# `compute_dynamic_scales_and_zp` with the strategy "token" (what FP8_DYNAMIC and W8A8 say of activations) returns a
# scale for each token of a tensor of three axes (texts, tokens, width), and ONE scale for all tokens of a tensor
# of two axes (tokens, width): it keeps the first two axes, and where none is left it takes the largest of all.
#
# Surprising: a token's activations do not change when the axis of texts is dropped, and routers of experts hand
# exactly such tensors on. One large token then costs all others their digits, without a word.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'compressed-tensors==0.20.1'
"$work/venv/bin/python" - <<'PY'
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import fake_quantize
from compressed_tensors.quantization.utils import compute_dynamic_scales_and_zp

torch.manual_seed(1)
tokens = torch.randn(6, 32)
tokens[0] *= 1000  # as the first token of a text is in some layers
args = QuantizationArgs(num_bits=8, type="int", strategy="token", symmetric=True, dynamic=True)
errors = {}
for axes, value in ((3, tokens[None]), (2, tokens)):
    scale, zero = compute_dynamic_scales_and_zp(value, args, torch.nn.Identity())
    found = fake_quantize(value, scale, zero, args).view_as(tokens)
    errors[axes] = ((found - tokens)[1:].norm() / tokens[1:].norm()).item()
    print(f"{axes} axes: scales of shape {tuple(scale.shape)}, error of the small tokens {errors[axes]:.3f}")
assert errors[3] < 0.02
assert errors[2] > 0.9
PY
