#!/usr/bin/env bash
# bitsandbytes 0.50.2, torch 2.13.0, CPU (x86-64 and Linux; run on AVX2 without AVX-512)
#
# FP4 has two codes for zero, 0 and 8, and `bitsandbytes.functional` lists 0.0 for both. Reading a packed
# matrix on a CPU gives -0.0 for code 8 or +0.0, by the width of the matrix: an odd width goes through a
# formula in torch (+0.0), a width that is even and no multiple of 16 through plain C++ (-0.0), on
# every processor; a multiple of 16 through AVX-512 where there is one (+0.0), else through plain C++
# (-0.0). All other values are equal.
#
# Surprising: one wants to compare widened tensors bit by bit. On another processor, or with one column
# more, the same codes and scales give other bits, although the table holds no negative zero.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'bitsandbytes==0.50.2' 'numpy==2.4.6'
"$work/venv/bin/python" - <<'PY'
import bitsandbytes.functional as bnb
import torch
from bitsandbytes.cextension import lib

table = bnb.get_4bit_type("fp4", device="cpu")
print("signs of the table's zeros:", torch.signbit(table[[0, 8]]).tolist())
assert not torch.signbit(table[[0, 8]]).any()
torch.manual_seed(0)
signs = {}
for width in (64, 40, 63):
    codes, state = bnb.quantize_4bit(torch.randn(16, width).bfloat16(), quant_type="fp4")
    wide = bnb.dequantize_4bit(codes, state)
    eights = torch.stack([codes >> 4, codes & 15], 1).view(-1)[: wide.numel()].view(wide.shape) == 8
    assert eights.any() and (wide[eights] == 0).all()
    signs[width] = sorted(set(torch.signbit(wide[eights]).tolist()))
    print(f"width {width}: code 8 is negative zero: {signs[width]}")
assert signs[40] == [True], "plain C++"
assert signs[63] == [False], "torch"
assert signs[64] == [not lib.has_avx512f_cpu()], "vectors"
PY
