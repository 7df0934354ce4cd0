#!/usr/bin/env bash
# transformers==5.24.0, safetensors==0.8.0, torch==2.13.0 (CPU)
#
# A weight that is stored as uint8 (4-bit or 8-bit codes whose quantization_config was lost) loads
# into a float model: transformers casts the codes to floats. output_loading_info has no missing, no
# unexpected and no mismatched key, and the "weights" go up to 255. transformers 4.57 raises ("Only
# Tensors of floating point ... can require gradients").
#
# Surprising because names and shapes are what a loader is trusted to check, and here all three lists
# are empty: whoever proves a checkpoint by the loading info has to compare types as well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'transformers==5.24.0' 'safetensors==0.8.0' 'torch==2.13.0'
"$folder/venv/bin/python" - "$folder/model" <<'PY'
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
folder = pathlib.Path(sys.argv[1])
config = transformers.LlamaConfig(
    vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=2,
)
transformers.LlamaForCausalLM(config).save_pretrained(folder)
file = folder / "model.safetensors"
tensors = load_file(file)
name = "model.layers.0.mlp.up_proj.weight"
tensors[name] = torch.full(tensors[name].shape, 200, dtype=torch.uint8)
save_file(tensors, file, {"format": "pt"})

model, info = transformers.LlamaForCausalLM.from_pretrained(folder, output_loading_info=True)
weight = model.model.layers[0].mlp.up_proj.weight
print(info, weight.dtype, weight.max().item())
assert not any(info.values()), "the type is reported now"
assert weight.dtype == torch.float32
assert weight.max() == 200
PY
