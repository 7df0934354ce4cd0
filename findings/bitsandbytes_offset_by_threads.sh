#!/usr/bin/env bash
# bitsandbytes 0.50.2, torch 2.13.0, CPU
#
# With double quantisation (`compress_statistics`), the `nested_offset` of an NF4 matrix depends on the
# number of torch's threads from 32768 blocks on (2.1 million weights in blocks of 64): it is
# `absmax.mean()`, and torch adds up in another order when more than one thread takes part. Below, the
# bits are equal. Vector width does not matter: ATEN_CPU_CAPABILITY=default gives the bits of AVX2.
#
# Surprising: quantising looks like a lookup per block, so one expects the same file from every machine.
# Two machines that differ only in their number of processors write different bytes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'bitsandbytes==0.50.2' 'numpy==2.4.6'
cat >"$work/offsets.py" <<'PY'
import bitsandbytes.functional as bnb
import torch

for rows in (500, 3000):
    found = {}
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        torch.manual_seed(8)
        weight = torch.randn(rows, 1024) * torch.rand(rows, 1)
        state = bnb.quantize_4bit(weight, compress_statistics=True, quant_type="nf4")[1]
        found[threads] = state.offset.item().hex()
    print(rows * 1024 // 64, "blocks:", found)
    assert (len(set(found.values())) > 1) == (rows == 3000)
PY
"$work/venv/bin/python" "$work/offsets.py" | tee "$work/native"
ATEN_CPU_CAPABILITY=default "$work/venv/bin/python" "$work/offsets.py" | tee "$work/plain"
diff "$work/native" "$work/plain"
