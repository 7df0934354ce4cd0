#!/usr/bin/env bash
# transformers 5.24.0, tokenizers 0.23.3: the same tokenizer files are another tokenizer beside a config.json.
#
# What it does: AutoTokenizer.from_pretrained(FOLDER) looks at "model_type" of a config.json in the folder before it
# believes tokenizer_config.json. With "model_type": "qwen2" it builds Qwen2Tokenizer, which adds a token
# <|endoftext|> at the end of the vocabulary that is in none of the folder's files; without config.json the same
# files are a TokenizersBackend with the tokens of tokenizer.json and no more.
#
# Why it surprises: an adapter folder has no config.json and its merged model has one. So len(tokenizer) of the
# merged model is one more than what the model was trained with, and one more than its matrix has rows: the new id
# is out of range, converters stop at an assertion without a text, and nothing in tokenizer.json tells.
# A check of "rows against tokens" that reads tokenizer.json alone cannot see it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'transformers==5.24.0' 'tokenizers==0.23.3'
cat > "$work/see.py" <<'PY'
import json, sys
from pathlib import Path
from tokenizers import Tokenizer, models, pre_tokenizers, decoders
from transformers import AutoTokenizer, PreTrainedTokenizerFast

root = Path(sys.argv[1])
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {"<s>": 0, "</s>": 1, **{letter: n + 2 for n, letter in enumerate(letters)}}
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
tokenizer.add_special_tokens(["<s>", "</s>"])
for name in ("adapter", "merged"):
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(root / name)
(root / "merged" / "config.json").write_text(json.dumps({"model_type": "qwen2", "vocab_size": len(vocabulary)}))

files = json.loads((root / "adapter" / "tokenizer.json").read_text())
assert (root / "adapter" / "tokenizer.json").read_bytes() == (root / "merged" / "tokenizer.json").read_bytes()
assert (root / "adapter" / "tokenizer_config.json").read_bytes() == (root / "merged" / "tokenizer_config.json").read_bytes()
plain, beside = (AutoTokenizer.from_pretrained(root / name) for name in ("adapter", "merged"))
for name, t in (("without config.json", plain), ("beside a config.json of qwen2", beside)):
    print(f"{name}: {type(t).__name__}, {len(t)} tokens, tokenizer.json has {len(files['model']['vocab'])}")
new = set(beside.get_vocab()) - set(plain.get_vocab())
print("only in the second:", {t: beside.convert_tokens_to_ids(t) for t in new})
assert len(plain) == len(vocabulary) and len(beside) == len(vocabulary) + 1 and new == {"<|endoftext|>"}
PY
"$work/venv/bin/python" "$work/see.py" "$work/models"
