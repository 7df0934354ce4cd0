#!/usr/bin/env bash
# transformers==5.24.0, safetensors==0.8.0, torch==2.13.0 (CPU), vllm==0.33.0 (its code, no GPU)
#
# A Mixtral saved with save_original_format=False has model.layers.N.mlp.experts.gate_up_proj and
# model.layers.N.mlp.gate. transformers loads it, vLLM refuses it: its modules are called
# block_sparse_moe, as in the released files. The same of DeepSeek V2 and V3, GLM-4.7-Flash, ERNIE 4.5
# and GraniteMoeHybrid; Qwen3-MoE, OLMoE, GLM-4.5 and Qwen2-VL load under both names, to the same
# bits. ExaoneMoe is loaded without a word and without the correction of its router.
#
# Also: a Gemma 3 that never was in released files is saved by save_pretrained as
# vision_tower.embeddings, one that was loaded from them as vision_tower.vision_model.embeddings.
#
# Surprising because both files load in transformers with equal logits, and save_pretrained writes
# different names for the same class and configuration.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'transformers==5.24.0' 'safetensors==0.8.0' 'torch==2.13.0'
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys

import transformers
from safetensors import safe_open

folder = sys.argv[1]
small = dict(vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
             num_attention_heads=2, num_key_value_heads=2)
model = transformers.MixtralForCausalLM(
    transformers.MixtralConfig(**small, num_local_experts=2, num_experts_per_tok=1)
)
for original in (True, False):
    model.save_pretrained(f"{folder}/{original}", save_original_format=original)
    with safe_open(f"{folder}/{original}/model.safetensors", "pt") as file:
        names = sorted(name for name in file.keys() if "experts" in name)
    print(original, names)
    assert names[0].startswith(
        "model.layers.0." + ("block_sparse_moe.experts.0.w1" if original else "mlp.experts.down_proj")
    )

vision = transformers.SiglipVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=1,
                                         num_attention_heads=2, image_size=32, patch_size=16)
config = transformers.Gemma3Config(
    vision_config=vision.to_dict(), text_config={**small, "head_dim": 16}, mm_tokens_per_image=4,
    image_token_index=95,
)
transformers.Gemma3ForConditionalGeneration(config).save_pretrained(f"{folder}/gemma")
with safe_open(f"{folder}/gemma/model.safetensors", "pt") as file:
    towers = [name for name in file.keys() if "patch_embedding" in name]
print(towers)
assert all(name.startswith("vision_tower.embeddings") for name in towers)
PY
