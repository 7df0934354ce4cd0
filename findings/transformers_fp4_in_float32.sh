#!/usr/bin/env bash
# transformers 5.24.0, compressed-tensors 0.20.1, torch 2.13.0, CPU
#
# A model in NVFP4 (seen with MXFP4, too; compressed-tensors) whose other weights are float32 loads, with dtype="auto" and with
# dtype=torch.float32, without a warning, and its first forward raises "expected m1 and m2 to have the same dtype":
# FP4 is undone to bfloat16 whatever the model's type is, and `model.float()` is refused for quantised models.
# The same model in FP8 or INT4 computes in float32.
#
# Surprising: the type that was asked for holds for every scheme but these two, and loading says nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'transformers==5.24.0' 'compressed-tensors==0.20.1' 'accelerate==1.15.0'
cd "$work"
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY' 2>&1 | grep -v '%|\|warn'
import json
from pathlib import Path

import torch
from compressed_tensors.compressors import compress_module
from compressed_tensors.quantization import initialize_module_for_quantization, preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

torch.manual_seed(1)
LlamaForCausalLM(
    LlamaConfig(vocab_size=64, hidden_size=64, intermediate_size=128, num_hidden_layers=1,
                num_attention_heads=4, tie_word_embeddings=False)
).save_pretrained("plain")
config = json.loads(Path("plain/config.json").read_text())
for name, form in (("FP8_DYNAMIC", "float-quantized"), ("NVFP4A16", "nvfp4-pack-quantized")):
    scheme = preset_name_to_scheme(name, ["Linear"])
    tensors = {}
    for key, weight in load_file("plain/model.safetensors").items():
        if "_proj" not in key:
            tensors[key] = weight
            continue
        module = torch.nn.Linear(*weight.shape[::-1], bias=False)
        module.weight.data.copy_(weight)
        initialize_module_for_quantization(module, scheme, force_zero_point=True)
        wide, overall = weight.unsqueeze(1), None
        if scheme.weights.group_size:
            wide = weight.unflatten(-1, (-1, scheme.weights.group_size))
            overall = generate_gparam(weight.min().reshape(1), weight.max().reshape(1))
            module.weight_global_scale.data.copy_(overall)
        scale, _ = calculate_qparams(wide.amin(-1), wide.amax(-1), scheme.weights, global_scale=overall)
        module.weight_scale.data.copy_(scale)
        compress_module(module)
        tensors |= {f"{key.removesuffix('weight')}{k}": v for k, v in module.state_dict().items()}
    folder = Path(name)
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    quantised = {"quant_method": "compressed-tensors", "format": form,
                 "quantization_status": "compressed", "ignore": ["lm_head"],
                 "config_groups": {"group_0": json.loads(scheme.model_dump_json())}}
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": quantised}))
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values()), info
    try:
        said = f"computes in {model(torch.tensor([[1, 2, 3]])).logits.dtype}"
    except RuntimeError as error:
        said = f"raises: {error}"
    print(f"{name}: loads complete, forward {said}")
    assert ("raises" in said) == (name == "NVFP4A16")
PY
