#!/usr/bin/env bash
# peft==0.21.2, transformers==5.24.0, torch==2.13.0, Python 3.10 or later.
#
# get_peft_model(torch.compile(model), ...) trains and saves without a word, but every name in adapter_model.safetensors
# has "_orig_mod." in it. PeftModel.from_pretrained on the plain base finds none of its tensors there and goes on with
# what it initialised: with the default initialisation the loaded model is the base model to the bit; with
# "init_lora_weights": false, which adapter_config.json repeats, it is random, another one at each load. Both
# end with a warning and exit code 0, the same that an adapter with one forgotten module gets.
#
# Why it surprises: no tensor of the file is used, and that is no error. The random one even answers differently from
# the base, so a check of "does the adapter do something" passes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'torch==2.13.0' 'transformers==5.24.0' 'peft==0.21.2'

"$work/venv/bin/python" - "$work" <<'PYTHON'
import sys
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
work = Path(sys.argv[1])
config = LlamaConfig(
    vocab_size=64, hidden_size=32, intermediate_size=48,
    num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
)
torch.manual_seed(0)
LlamaForCausalLM(config).save_pretrained(work / "base")
tokens = torch.arange(8)[None]


def base():
    return LlamaForCausalLM.from_pretrained(work / "base").eval()


def loaded(name):
    with warnings.catch_warnings(record=True) as said, torch.no_grad():
        warnings.simplefilter("always")
        model = PeftModel.from_pretrained(base(), work / name).eval()
        return model(tokens).logits, sum("missing adapter keys" in str(w.message) for w in said)


with torch.no_grad():
    plain = base()(tokens).logits
for name, initialise in (("default", True), ("random", False)):
    model = get_peft_model(
        torch.compile(base()), LoraConfig(target_modules=["q_proj"], init_lora_weights=initialise)
    )
    for parameter_name, parameter in model.named_parameters():
        if "lora_" in parameter_name:
            parameter.data.normal_()  # as if trained
    model.save_pretrained(work / name)
    with safe_open(work / name / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    (one, warned), (other, _) = loaded(name), loaded(name)
    print(f"{name}: {names[0]}")
    print(f"{name}: is the base {torch.equal(one, plain)}, equal twice {torch.equal(one, other)}, warnings {warned}")
    assert all("._orig_mod." in n for n in names) and warned == 1
    assert torch.equal(one, plain) == torch.equal(one, other) == initialise
PYTHON
