#!/usr/bin/env bash
# xllamacpp 2026.10.11549 (llama.cpp's server), gguf 0.19.0, Linux x86-64
#
# llama.cpp looks for words in the source of a chat template, and with some it treats the model as one
# that it knows. Comments count. With `{# [SYSTEM_PROMPT] [TOOL_CALLS] [ARGS] #}` before a plain template,
# an earlier answer that came with `reasoning_content` is not in the prompt any more.
#
# Surprising: a comment changes nothing in Jinja2. A template that somebody derived from a Mistral one, its
# history in a comment, loses what the assistant said, and only in conversations with reasoning.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'xllamacpp==2026.10.11549' 'gguf==0.19.0' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" - 2>server.log <<'PY'
import json
import os
import urllib.request

import gguf
import numpy as np
import xllamacpp


def prompt(template, body):
    """What the server makes of a conversation, on a model of one layer of zeros."""
    w = gguf.GGUFWriter("m.gguf", "llama")
    w.add_context_length(512), w.add_embedding_length(32), w.add_block_count(1)
    w.add_feed_forward_length(32), w.add_head_count(1), w.add_layer_norm_rms_eps(1e-5)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "\u2581"]
    w.add_tokenizer_model("llama"), w.add_token_list(tokens), w.add_token_scores([0.0] * len(tokens))
    w.add_token_types([2, 3, 3, *[6] * 256, 1]), w.add_chat_template(template)
    shapes = {"token_embd": (len(tokens), 32), "output_norm": (32,)}
    shapes |= {f"blk.0.{n}": (32,) for n in ("attn_norm", "ffn_norm")}
    squares = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes |= {f"blk.0.{n}": (32, 32) for n in squares}
    for name, shape in shapes.items():
        w.add_tensor(f"{name}.weight", np.zeros(shape, np.float32))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.warmup = "m.gguf", 512, False
    server = xllamacpp.Server(parameters)
    request = urllib.request.Request(
        server.listening_address + "/apply-template",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    answer = json.load(urllib.request.urlopen(request))["prompt"]
    del server
    return answer


plain = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
said = {"role": "assistant", "content": "Four.", "reasoning_content": "Two and two."}
asked = {"role": "user", "content": "And three and three?"}
without = prompt(plain, {"messages": [said, asked]})
commented = prompt("{# [SYSTEM_PROMPT] [TOOL_CALLS] [ARGS] #}" + plain, {"messages": [said, asked]})
print("without the comment:", repr(without), flush=True)
print("with the comment:   ", repr(commented), flush=True)
assert "Four." in without and "Four." not in commented
os._exit(0)
PY
