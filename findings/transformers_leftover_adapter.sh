#!/usr/bin/env bash
# transformers==5.24.0, peft==0.21.2, torch==2.13.0 (CPU)
#
# A full model whose folder also holds adapter_config.json and adapter_model.safetensors (left there by
# an earlier release of an adapter) is loaded by from_pretrained with that adapter on top, without a
# word: its logits are not those of the model. That holds for AutoModelForCausalLM and for the model's
# own class alike, and output_loading_info has nothing missing, unexpected or mismatched.
#
# Surprising because config.json and model.safetensors are all that a full model has, and because the
# proof that a loader offers, the loading info, is empty.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'transformers==5.24.0' 'peft==0.21.2' 'torch==2.13.0'
"$folder/venv/bin/python" - "$folder" <<'PY'
import pathlib
import shutil
import sys

import peft
import torch
import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
root = pathlib.Path(sys.argv[1])
torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=2,
)
model = transformers.LlamaForCausalLM(config)
model.save_pretrained(root / "full")
adapter = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "up_proj"]))
for parameter in adapter.parameters():
    if parameter.requires_grad:
        torch.nn.init.normal_(parameter, std=0.3)
adapter.save_pretrained(root / "adapter")

ids = torch.arange(10, 20).unsqueeze(0)


def logits(loader):
    model, info = loader.from_pretrained(root / "full", output_loading_info=True)
    assert not any(info.values()), info
    with torch.no_grad():
        return model.eval()(ids).logits


clean = logits(transformers.AutoModelForCausalLM)
for name in ("adapter_config.json", "adapter_model.safetensors"):
    shutil.copy(root / "adapter" / name, root / "full" / name)
for loader in (transformers.AutoModelForCausalLM, transformers.LlamaForCausalLM):
    off = (logits(loader) - clean).abs().max().item()
    print(f"with a leftover adapter {loader.__name__} is off by {off:.3g}")
    assert off > 0.01, "it is not applied any more"
PY
