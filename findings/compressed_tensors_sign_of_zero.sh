#!/usr/bin/env bash
# compressed-tensors==0.20.0 (0.19.0 alike), torch==2.13.0, Python 3.11, CPU
#
# FP8 of a weight that is -0.0 is 0x00 or 0x80, depending on who prepared the module. llm-compressor's
# oneshot prepares it with a zero point, which is zero for symmetric schemes and is added all the same:
# -0.0 + 0 is +0.0. llm-compressor's model_free_ptq prepares it without one (force_zero_point=False), and
# the sign stays. Neither zero point is stored.
#
# Why it surprises: two entry points of one library, the same preset, the same weights, and other bytes. Who
# compares files has to say with which of the two; the values are the same.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'compressed-tensors==0.20.0' 'transformers==5.24.0'
cd "$work"
"$work/venv/bin/python" - <<'PY'
import torch
from compressed_tensors.compressors import compress_module
from compressed_tensors.quantization import initialize_module_for_quantization, preset_name_to_scheme

codes = {}
for zero_point in (True, False):
    module = torch.nn.Linear(4, 2, bias=False, dtype=torch.bfloat16)
    module.weight.data = torch.tensor([[1.0, -0.0, 0.5, -1.0]] * 2, dtype=torch.bfloat16)
    scheme = preset_name_to_scheme("FP8_DYNAMIC", ["Linear"])
    initialize_module_for_quantization(module, scheme, force_zero_point=zero_point)
    module.weight_scale.data.fill_(1 / 448)
    compress_module(module)
    assert not hasattr(module, "weight_zero_point")
    codes[zero_point] = module.weight.view(torch.uint8)[0, 1].item()
print(codes)
assert codes == {True: 0x00, False: 0x80}
PY
