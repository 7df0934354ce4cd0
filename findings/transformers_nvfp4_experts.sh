#!/usr/bin/env bash
# transformers==5.24.0, compressed-tensors==0.20.0, torch==2.13.0, Python 3.11, CPU
#
# A model whose experts are NVFP4 in compressed-tensors loads without a missing, unexpected or mismatched
# key, and its experts are wrong by a factor of thousands: transformers undoes the codes when it fuses the
# experts, and leaves weight_global_scale out of it. INT8 (W8A8) experts stop the load with an error, also
# when the experts themselves are on the list of ignored modules. FP8 in blocks loads where an expert is one
# block, and stops where it is several. FP8_DYNAMIC, W4A16, W8A16 and MXFP4 are right.
#
# Why it surprises: the same file format with the same library is read right for every layer that is no
# expert, and the loading report, which is what one checks, is empty.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'transformers==5.24.0' 'compressed-tensors==0.20.0' 'accelerate'
cd "$work"
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import json

import torch
import transformers
from compressed_tensors.compressors import compress_module
from compressed_tensors.quantization import initialize_module_for_quantization, preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from safetensors.torch import load_file, save_file

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.manual_seed(0)
config = transformers.Qwen3MoeConfig(
    vocab_size=96, hidden_size=64, intermediate_size=64, moe_intermediate_size=64, num_hidden_layers=1,
    num_attention_heads=4, num_key_value_heads=2, head_dim=16, num_experts=2, num_experts_per_tok=2,
)
transformers.Qwen3MoeForCausalLM(config).bfloat16().save_pretrained("model")
scheme = preset_name_to_scheme("NVFP4A16", ["Linear"])
tensors = {}
for name, weight in load_file("model/model.safetensors").items():
    if "_proj.weight" not in name:
        tensors[name] = weight
        continue
    module = torch.nn.Linear(*weight.shape[::-1], bias=False, dtype=weight.dtype)
    module.weight.data.copy_(weight)
    initialize_module_for_quantization(module, scheme)
    largest = weight.abs().max().reshape(1)
    overall = generate_gparam(-largest, largest)
    groups = weight.unflatten(-1, (-1, 16))
    scale, _ = calculate_qparams(groups.amin(-1), groups.amax(-1), scheme.weights, global_scale=overall)
    module.weight_global_scale.data.copy_(overall)
    module.weight_scale.data.copy_(scale)
    compress_module(module)
    tensors |= {name.removesuffix("weight") + part: value for part, value in module.state_dict().items()}
before = transformers.AutoModelForCausalLM.from_pretrained("model", dtype="auto")
save_file(tensors, "model/model.safetensors", metadata={"format": "pt"})
data = json.load(open("model/config.json"))
data["quantization_config"] = {
    "quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized", "quantization_status": "compressed",
    "config_groups": {"group_0": {**scheme.model_dump(), "format": "nvfp4-pack-quantized"}},
    "ignore": ["lm_head", "re:.*mlp.gate$"],
}
json.dump(data, open("model/config.json", "w"))
after, info = transformers.AutoModelForCausalLM.from_pretrained("model", output_loading_info=True)
after(torch.tensor([[1, 2]]))  # undoes the codes of the layers that are no experts
attention, experts = (
    (get(after).float().norm() / get(before).float().norm()).item()
    for get in (
        lambda model: model.model.layers[0].self_attn.q_proj.weight,
        lambda model: model.model.layers[0].mlp.experts.down_proj,
    )
)
print({key: value for key, value in info.items() if value}, f"attention x {attention:.3f}, experts x {experts:.1f}")
assert not any(info.values())
assert 0.98 < attention < 1.02
assert experts > 1000
PY
