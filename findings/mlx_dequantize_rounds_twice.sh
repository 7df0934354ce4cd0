#!/usr/bin/env bash
# mlx 0.32.4 (CPU): mx.dequantize of whole numbers rounds twice, so half of the weights are not the nearest to what codes say.
#
# What it does: scale and bias are BF16, and so is everything in between: scale * code is rounded to BF16, then the sum
# with the bias is. Computed in float32 and rounded once, 47 % of the weights of a 4-bit matrix come out otherwise, and
# 64 % at 8 bits. The functions for matrix products multiply without that rounding, so mlx_lm.fuse --dequantize gives a
# model that is not the one that answered before.
#
# Why it surprises: for the small floats (mxfp4, mxfp8, nvfp4), whose products are exact, there is no such difference.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'numpy' 'mlx[cpu]==0.32.4'
cat > "$work/see.py" <<'PY'
import mlx.core as mx

mx.random.seed(1)
weights = mx.random.normal((256, 1024)).astype(mx.bfloat16)
for bits in (2, 4, 8):
    codes, scales, biases = mx.quantize(weights, 64, bits)
    found = mx.dequantize(codes, scales, biases, 64, bits)
    wide = [mx.repeat(part.astype(mx.float32), 64, axis=-1) for part in (scales, biases)]
    ones, zeros = mx.ones(scales.shape), mx.zeros(scales.shape)
    whole = mx.dequantize(codes, ones, zeros, 64, bits)
    once = (whole * wide[0] + wide[1]).astype(mx.bfloat16)
    twice = (whole * wide[0]).astype(mx.bfloat16) + wide[1].astype(mx.bfloat16)
    share = float((found != once).mean())
    print(f"{bits} bits: {share:.0%} differ from one rounding, {float((found != twice).mean()):.0%} from two")
    assert share > 0.1
    assert bool(mx.array_equal(found, twice))
PY
"$work/venv/bin/python" "$work/see.py"
