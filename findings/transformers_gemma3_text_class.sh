#!/usr/bin/env bash
# transformers 5.24.0, torch 2.13.0: Gemma3ForCausalLM.from_pretrained on a Gemma 3 with eyes loads nothing at all.
#
# What it does: given a folder of Gemma3ForConditionalGeneration (every Gemma 3 from 4B up), the text class takes the
# text part of the configuration and then matches not one tensor: all of its own are "missing" and get random values,
# all of the file's are "unexpected". It returns a model and no error. It does so for the names that
# transformers 5 writes (model.language_model.layers...) and for those of the published models
# (language_model.model.layers...). AutoModelForCausalLM on the same folder gives the class with eyes, complete.
#
# Why it surprises: transformers 4.50 introduced the text class with this very use (from_pretrained of the 4B model),
# and trainers call it for text-only training. A LoRA that is trained this way was trained on noise; one that was
# trained on a text model whose weights were taken out by hand has names without "language_model", and fits the
# model with eyes once they are mapped.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'torch==2.13.0' 'transformers==5.24.0' 'numpy' 'pillow'
cat > "$work/see.py" <<'PY'
import sys
import torch
import transformers as tf
from safetensors.torch import load_file, save_file

folder = sys.argv[1]
text = dict(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, head_dim=16)
eyes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, image_size=56, patch_size=14)
whole = tf.Gemma3ForConditionalGeneration(tf.Gemma3Config(text_config=text, vision_config=eyes, mm_tokens_per_image=4))
whole.save_pretrained(folder)


def published(name):
    if name.startswith("model.language_model."):
        return "language_model.model." + name.removeprefix("model.language_model.")
    return name.removeprefix("model.").replace("vision_tower.", "vision_tower.vision_model.")


file = f"{folder}/model.safetensors"
for names in ("transformers 5", "the Hub"):
    model, info = tf.Gemma3ForCausalLM.from_pretrained(folder, output_loading_info=True)
    own, missing, over = len(model.state_dict()), len(info["missing_keys"]), len(info["unexpected_keys"])
    print(f"names of {names}: {missing} of {own} tensors missing, {over} of the file unexpected, no error")
    assert missing == own and over == len(load_file(file))
    auto = tf.AutoModelForCausalLM.from_pretrained(folder)
    print(f"  AutoModelForCausalLM gives {type(auto).__name__}")
    assert type(auto) is tf.Gemma3ForConditionalGeneration
    assert all(torch.equal(auto.state_dict()[n], t) for n, t in whole.state_dict().items())
    save_file({published(n): t for n, t in load_file(file).items()}, file, {"format": "pt"})
PY
"$work/venv/bin/python" "$work/see.py" "$work/model"
