#!/usr/bin/env bash
# llmcompressor==0.14.0.1 (transformers 5.17.0, compressed-tensors 0.19.0, torch 2.14.0), Python 3.11, CPU
#
# What llm-compressor makes of a GraniteMoE (and of Gemma 4 and Qwen3-VL with experts), saved as its examples
# do, does not load in the transformers that it was made with: the experts are experts.0.gate_proj and so on in
# the file and one parameter in the model, and for these architectures there is no mapping from one to the other.
# from_pretrained raises nothing, and fills all experts of all layers with random numbers. Of Llama 4, whose
# experts are fused in the same way, transformers 5.24 builds single ones when the configuration says
# compressed-tensors, and is right. vLLM 0.33 loads all of them. Of gpt-oss vLLM leaves gate and up in 16 bits
# out without a word, as it knows only the fused names.
#
# Why it surprises: the quantiser writes files that only another program reads, and the reader that it
# comes with says so in a table of keys and goes on.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'llmcompressor==0.14.0.1'
cd "$work"
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import torch
import transformers
from llmcompressor import oneshot
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.utils import load_context

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.manual_seed(0)
config = transformers.GraniteMoeConfig(
    vocab_size=96, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
    num_key_value_heads=2, num_local_experts=2, num_experts_per_tok=2,
)
kind = transformers.GraniteMoeForCausalLM
kind(config).bfloat16().save_pretrained("model")
with load_context(kind):
    model = kind.from_pretrained("model", dtype="auto")
recipe = QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=["lm_head", "re:.*router.*"])
oneshot(model=model, recipe=recipe)
model.save_pretrained("compressed", save_compressed=True)

whole = kind.from_pretrained("model", dtype="auto")
again, info = kind.from_pretrained("compressed", dtype="auto", output_loading_info=True)
print("missing", sorted(info["missing_keys"]))
print("left out", sorted(info["unexpected_keys"])[:3], len(info["unexpected_keys"]))
assert any("experts.gate_up_proj" in name for name in info["missing_keys"])
first, second = (m.model.layers[0].block_sparse_moe.experts.down_proj.float() for m in (whole, again))
likeness = torch.nn.functional.cosine_similarity(first.flatten(), second.flatten(), dim=0).item()
print(f"likeness of the experts {likeness:.3f}")
assert abs(likeness) < 0.1
PY
