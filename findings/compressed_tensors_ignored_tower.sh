#!/usr/bin/env bash
# compressed-tensors==0.20.0, transformers==5.24.0, torch==2.13.0, Python 3.11, CPU
#
# A vision-language model is compressed with the vision tower left out, and saved. config.json then lists
# the modules that are not quantised by the names of the checkpoint (visual.blocks.0.attn.qkv), because
# compressed-tensors maps them back. transformers compares that list with its own names
# (model.visual.blocks.0.attn.qkv), finds the tower unlisted, and gives each of its layers a weight_scale
# that no file fills. The load reports missing keys and goes on; the first forward multiplies the tower
# with whatever the memory held.
#
# Why it surprises: the writer is the library whose list it is, and the reader calls the same library. A
# pattern (re:.*visual.*) holds for both sets of names, and for vLLM's. llm-compressor 0.14 writes the same.
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
from compressed_tensors import ModelCompressor
from compressed_tensors.quantization import (
    QuantizationConfig, apply_quantization_config, preset_name_to_scheme,
)

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
config = transformers.Qwen2VLConfig(
    text_config={
        "vocab_size": 96, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
    },
    vision_config={"depth": 1, "embed_dim": 64, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2},
)
cls = transformers.Qwen2VLForConditionalGeneration
cls(config).bfloat16().save_pretrained("model")

model = cls.from_pretrained("model", dtype="auto")
ignore = ["lm_head", "re:.*visual.*"]
scheme = preset_name_to_scheme("FP8_DYNAMIC", ["Linear"])
apply_quantization_config(model, QuantizationConfig(config_groups={"group_0": scheme}, ignore=ignore))
for module in model.modules():
    if hasattr(module, "weight_scale"):
        module.weight_scale.data.fill_(0.01)
compressor = ModelCompressor.from_pretrained_model(model)
compressor.compress_model(model)
model.save_pretrained("saved")
compressor.update_config("saved")

listed = json.load(open("saved/config.json"))["quantization_config"]["ignore"]
_, info = cls.from_pretrained("saved", output_loading_info=True)
print("listed:", listed)
print("missing:", sorted(info["missing_keys"]))
assert all(name.startswith("visual.") for name in listed if "visual" in name)
assert "model.visual.blocks.0.attn.qkv.weight_scale" in info["missing_keys"]

data = json.load(open("saved/config.json"))
data["quantization_config"]["ignore"] = ignore
json.dump(data, open("saved/config.json", "w"))
_, info = cls.from_pretrained("saved", output_loading_info=True)
assert not info["missing_keys"], "with a pattern nothing is missing"
PY
