#!/usr/bin/env bash
# mlx 0.32.4 (CPU): mx.quantize in nvfp4 stores 2688 for every larger weight, and says nothing.
#
# What it does: a scale is FP8, which ends at 448, and a code ends at 6. A group whose largest weight is above 2688 gets the
# scale 448 and the code 6 for all that is larger: 3000 and 10000 both read 2688 again. mxfp4 and mxfp8, whose
# scales are powers of two, hold them.
#
# Why it surprises: NVFP4 elsewhere has a second scale for the whole matrix, which moves the range to the weights; mlx has it
# for stacks of experts alone (global_scale), and mlx_lm.convert does not ask for it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'numpy' 'mlx[cpu]==0.32.4'
cat > "$work/see.py" <<'PY'
import mlx.core as mx

for weight in (2600.0, 3000.0, 10000.0):
    weights = mx.full((1, 32), weight, dtype=mx.bfloat16)
    read = {}
    for mode, group, bits in (("nvfp4", 16, 4), ("mxfp4", 32, 4), ("mxfp8", 32, 8)):
        codes, scales = mx.quantize(weights, group, bits, mode=mode)
        read[mode] = mx.dequantize(codes, scales, None, group, bits, mode=mode)[0, 0].item()
    print(weight, "reads", read)
    assert read["nvfp4"] == 2688
PY
"$work/venv/bin/python" "$work/see.py"
