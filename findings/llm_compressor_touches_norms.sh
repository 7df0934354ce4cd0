#!/usr/bin/env bash
# llmcompressor==0.14.0.1, compressed-tensors==0.19.0, transformers==5.17.0, torch==2.14.0, CPU
#
# Two things that a data-free oneshot (QuantizationModifier, FP8_DYNAMIC) does besides quantising:
#
# - The norms of a Gemma are other numbers afterwards. While it calibrates, llm-compressor replaces norms
#   that multiply with 1 + weight by norms that hold 1 + weight, rounded to bfloat16, and takes 1 off again.
#   Weights near zero lose nearly all of their digits: up to 2^-8 is added or taken.
# - Mixtral's experts, loaded with load_context as its examples ask, are saved as gate_proj, up_proj and
#   down_proj, where the checkpoint has w1, w3 and w2.
#
# Why it surprises: nothing was calibrated, and the layers in question are not quantised. Whoever compares a
# compressed checkpoint with its source expects what is not quantised to be the source's, byte for byte.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'llmcompressor==0.14.0.1' torchvision
cd "$work"
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
import torch
import transformers
from llmcompressor import oneshot
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.utils import load_context
from safetensors.torch import load_file

transformers.logging.set_verbosity_error()
torch.manual_seed(0)
small = {
    "vocab_size": 96, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
}


def compressed(model, name):
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    model.bfloat16().save_pretrained(name)
    with load_context(type(model)):
        again = type(model).from_pretrained(name, dtype="auto")
    recipe = QuantizationModifier(targets="Linear", scheme="FP8_DYNAMIC", ignore=["lm_head", "re:.*gate$"])
    oneshot(model=again, recipe=recipe)
    again.save_pretrained(f"{name}-fp8", save_compressed=True)
    return load_file(f"{name}/model.safetensors"), load_file(f"{name}-fp8/model.safetensors")


gemma = transformers.Gemma3TextConfig(**small, head_dim=32, sliding_window=8)
before, after = compressed(transformers.Gemma3ForCausalLM(gemma), "gemma")
norms = [name for name in before if "norm" in name]
changed = [name for name in norms if not torch.equal(before[name], after[name])]
print(f"{len(changed)} of {len(norms)} norms changed, by up to",
      max((before[n].float() - after[n].float()).abs().max().item() for n in norms))
assert len(changed) == len(norms)

mixtral = transformers.MixtralConfig(**small, num_local_experts=2, num_experts_per_tok=2)
before, after = compressed(transformers.MixtralForCausalLM(mixtral), "mixtral")
print(sorted(n for n in before if "experts.0" in n), sorted(n for n in after if "experts.0" in n and "scale" not in n))
assert any(name.endswith("experts.0.w1.weight") for name in before)
assert any(name.endswith("experts.0.gate_proj.weight") for name in after)
assert not any(".w1." in name for name in after)
PY
