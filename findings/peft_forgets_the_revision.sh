#!/usr/bin/env bash
# peft 0.21.2, transformers 5.24.0, huggingface_hub as they resolve, torch 2.13.0, Python 3.10 or later.
#
# A base model is loaded at a pinned revision, from_pretrained("org/base", revision="v1"), and a LoRA is put on
# it and saved. adapter_config.json then holds "revision": null beside the base's name: peft writes a
# revision only where it was also given to get_peft_model(..., revision=...). Nor does the model know any
# longer: transformers 5.24.0 has no config._commit_hash (older ones kept the resolved commit there).
#
# Why it surprises: the key exists in every adapter_config.json, and from_pretrained was told. Whoever
# loads the adapter later gets the main branch, without a word, and whoever reads model.config._commit_hash
# to record what was trained on gets an AttributeError, or None by getattr.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'torch==2.13.0' 'transformers==5.24.0' 'peft==0.21.2'

HF_HUB_CACHE="$work/cache" HF_HUB_OFFLINE=1 "$work/venv/bin/python" - "$work" <<'PYTHON'
import json
import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

work = Path(sys.argv[1])
commit = "a" * 40
repository = work / "cache" / "models--org--base"
snapshot = repository / "snapshots" / commit
(repository / "refs").mkdir(parents=True)
(repository / "refs" / "v1").write_text(commit)  # the cache as snapshot_download leaves it
config = LlamaConfig(
    vocab_size=32, hidden_size=16, intermediate_size=32,
    num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
)
LlamaForCausalLM(config).save_pretrained(snapshot)


def saved(name, **options):
    model = AutoModelForCausalLM.from_pretrained("org/base", revision="v1")
    get_peft_model(model, LoraConfig(target_modules=["q_proj"]), **options).save_pretrained(work / name)
    return model, json.loads((work / name / "adapter_config.json").read_text())


model, plain = saved("plain")
_, told = saved("told", revision="v1")
print("base in adapter_config.json:", plain["base_model_name_or_path"])
print("revision, from_pretrained alone was told:", plain["revision"])
print("revision, get_peft_model was told as well:", told["revision"])
print("config._commit_hash:", getattr(model.config, "_commit_hash", "no such attribute"))
assert plain["base_model_name_or_path"] == "org/base"
assert plain["revision"] is None
assert told["revision"] == "v1"
assert getattr(model.config, "_commit_hash", None) is None
PYTHON
