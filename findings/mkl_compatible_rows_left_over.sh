#!/usr/bin/env bash
# torch==2.13.0 (CPU build, with MKL), on x86-64
#
# With MKL_CBWR=COMPATIBLE, the mode for the same bits on every processor, rows of a float32 product
# still depend on how many rows are computed together: the last ones, beyond a multiple of four, are
# summed in another order when the inner dimension is large (128 here, not 64). So the first 257 rows
# of a product of 2,048 are not bit for bit the product of the first 257 rows; of 256 rows they are.
#
# Surprising because the mode promises the same bits for the same call, and work that is cut into
# blocks of rows passes every test with blocks of 256 and ranks up to 64.
set -euo pipefail
[ "$(uname -m)" = x86_64 ] || { echo "needs x86-64"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 numpy
MKL_CBWR=COMPATIBLE "$folder/venv/bin/python" - <<'PY'
import torch

torch.set_num_threads(1)
random = torch.Generator().manual_seed(0)
different = {}
for inner in (64, 128):
    b = torch.randn(2048, inner, generator=random)
    a = torch.randn(inner, 1024, generator=random)
    whole = b @ a
    for rows in (256, 257, 258, 259, 260):
        different[inner, rows] = int((b[:rows] @ a != whole[:rows]).any(1).sum())
for (inner, rows), count in different.items():
    print(f"inner dimension {inner}, {rows} rows: {count} rows are not those of the whole product")
assert not any(count for (inner, _), count in different.items() if inner == 64)
assert [different[128, rows] for rows in (256, 260)] == [0, 0]
assert all(different[128, rows] for rows in (257, 258, 259))
PY
