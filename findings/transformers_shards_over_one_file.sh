#!/usr/bin/env bash
# transformers==5.24.0, safetensors==0.8.0, torch==2.13.0 (CPU)
#
# save_pretrained in shards into a folder that holds an older save of one file leaves that file where
# it is: model.safetensors stands beside the new shards and their index. from_pretrained takes the
# single file and so loads the OLD weights, without a word. The other way round (one file over
# shards) the shards are removed, and only their index stays, which nothing reads.
#
# Surprising because save_pretrained does clean up "other shards", and because the index, the newer
# file, is what one expects to win. Met with: trainers that save a final model into the folder of an
# earlier one after max_shard_size or the size of the model changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q 'transformers==5.24.0' 'safetensors==0.8.0' 'torch==2.13.0'
"$folder/venv/bin/python" - "$folder/model" <<'PY'
import pathlib
import sys

import transformers

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
folder = pathlib.Path(sys.argv[1])
config = transformers.LlamaConfig(
    vocab_size=96, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
    num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=False,
)


def save(value, **options):
    model = transformers.LlamaForCausalLM(config)
    model.lm_head.weight.data.fill_(value)
    model.save_pretrained(folder, **options)
    print(f"saved {value}:", sorted(path.name for path in folder.iterdir()))


def loaded():
    model = transformers.LlamaForCausalLM.from_pretrained(folder)
    return model.lm_head.weight.mean().item()


save(1.0)
save(2.0, max_shard_size="30KB")
print("loaded:", loaded())
assert (folder / "model.safetensors").exists(), "the older single file is removed now"
assert loaded() == 1.0, "the newer shards are loaded now"

(folder / "model.safetensors").unlink()
assert loaded() == 2.0
save(3.0)
assert loaded() == 3.0
assert (folder / "model.safetensors.index.json").exists(), "the index goes with its shards now"
assert not list(folder.glob("model-*")), "the older shards stay now"
PY
