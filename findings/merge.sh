#!/usr/bin/env bash
# peft==0.21.2, transformers==5.24.0, torch==2.13.0, Python 3.11, CPU
#
# A model whose config.json says tie_word_embeddings: true and whose file holds an lm_head with other
# values than the embedding: transformers 5 keeps both matrices apart. PEFT, asked on that model to train
# two rows of the embedding (trainable_token_indices), goes by the flag: it puts the embedding's rows into
# the separate head as well, stores them once, and merge_and_unload leaves them in both.
#
# Why it surprises: with the matrices apart in memory one expects only the embedding to change, as a LoRA
# on embed_tokens of the same model does. A merge by the stored keys alone misses the rows of the head.
#
# And modules_to_save=["norm"] is matched by any end of a name, not by whole segments as target_modules
# and exclude_modules are: input_layernorm and post_attention_layernorm are trained and saved too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'transformers==5.24.0' 'peft==0.21.2'
cd "$work"
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import json
import warnings

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
torch.manual_seed(0)
sizes = dict(vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
             num_attention_heads=2, num_key_value_heads=2)
LlamaForCausalLM(LlamaConfig(tie_word_embeddings=False, **sizes)).save_pretrained("base")
config = json.load(open("base/config.json"))
json.dump({**config, "tie_word_embeddings": True}, open("base/config.json", "w"))

base = load_file("base/model.safetensors")
model = AutoModelForCausalLM.from_pretrained("base")
apart = model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()
print("transformers keeps two matrices apart:", apart)
tuned = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"],
                                         trainable_token_indices=[3, 7]))
with torch.no_grad():
    for name, parameter in tuned.named_parameters():
        if "trainable_tokens_delta" in name:
            parameter += 1
tuned.save_pretrained("adapter")
stored = [k for k in load_file("adapter/adapter_model.safetensors") if "trainable_tokens" in k]
print("stored:", stored)
merged = tuned.merge_and_unload().state_dict()
rows = merged["model.embed_tokens.weight"][[3, 7]]
in_head = torch.equal(merged["lm_head.weight"][[3, 7]], rows)
others = torch.equal(merged["lm_head.weight"][8:], base["lm_head.weight"][8:])
print("the head has the embedding's trained rows:", in_head, "and its own others:", others)

model = LlamaForCausalLM(LlamaConfig(**sizes))
tuned = get_peft_model(model, LoraConfig(target_modules=["q_proj"], modules_to_save=["norm"]))
saved = sorted({n.split(".modules_to_save")[0].rsplit(".", 1)[1]
                for n, _ in tuned.named_parameters() if ".modules_to_save." in n})
print('modules_to_save=["norm"] saves', saved)
ok = apart and in_head and others and len(stored) == 1
ok = ok and saved == ["input_layernorm", "norm", "post_attention_layernorm"]
raise SystemExit(0 if ok else 1)
PY
