#!/usr/bin/env bash
# mlx-lm 0.32.2, mlx 0.32.4, transformers 5.24.0: mlx-lm computes with positions of its own for what transformers 5 saves.
#
# What it does: transformers 5 writes rope_theta and its scaling into "rope_parameters". mlx-lm's llama, qwen2, gemma 2,
# phi-3 and most others look for "rope_theta" and "rope_scaling" alone, find none, and take 10000 and no scaling. A
# Llama with theta 500000 that save_pretrained wrote converts with status 0, loads, and talks, with other logits at every
# position but the first. Where a key has no default (qwen3_moe: rope_theta, num_experts) it stops with a TypeError.
#
# Why it surprises: the converter says nothing, the configuration that it writes holds the right number under the other
# name, and published models, whose files are older, are not affected: only fine-tunes are.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'transformers==5.24.0' 'numpy' 'mlx[cpu]==0.32.4' 'mlx-lm==0.32.2'
cat > "$work/see.py" <<'PY'
import json
import sys

import mlx.core as mx
import numpy as np
import torch
import transformers as tf
from mlx_lm.utils import load_model
from pathlib import Path

folder = Path(sys.argv[1])
small = dict(vocab_size=96, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False)
torch.manual_seed(1)
rope = {"rope_type": "default", "rope_theta": 500000.0}
model = tf.LlamaForCausalLM(tf.LlamaConfig(**small, rope_parameters=rope)).float()
for parameter in model.parameters():
    parameter.data += 0.02 * torch.randn_like(parameter)
model.save_pretrained(folder)
tokens = torch.arange(2, 62).reshape(1, 60)
with torch.no_grad():
    expected = model(tokens).logits.numpy()


def off():
    theirs, _ = load_model(folder)
    return np.abs(np.array(theirs(mx.array(tokens.numpy()))) - expected).max(-1)[0]


before = off()
print(f"as saved: off by {before[0]:.1e} at the first position, {before.max():.1e} at the worst")
config = json.loads((folder / "config.json").read_text())
(folder / "config.json").write_text(json.dumps({**config, "rope_theta": 500000.0}))
after = off()
print(f"with rope_theta beside rope_parameters: off by {after.max():.1e} at the worst")
assert before.max() > 100 * after.max()
PY
"$work/venv/bin/python" "$work/see.py" "$work/model"
