#!/usr/bin/env bash
# xllamacpp 2026.10.11549 (llama.cpp's server), gguf 0.19.0, Linux x86-64
#
# `tojson` of llama.cpp's template engine writes a fraction with six digits, and a whole one without its
# point: 1299999.99 becomes 1.3e+06, 7301.0 becomes 7301. The same number printed without `tojson` keeps
# its digits. Jinja2 writes all digits both times.
#
# Surprising: the model sees another amount than the tool was called with, in the description of a tool as
# well as in the history of calls, and a template that prints arguments one by one does not have the fault.
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


LOOP = "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}"
call = {"name": "pay", "arguments": json.dumps({"amount": 1299999.99, "rate": 7301.0})}
said = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]}
body = {"messages": [{"role": "user", "content": "Pay."}, said, {"role": "user", "content": "Thanks."}]}
JSON = LOOP + "{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}"
EACH = LOOP + "{% for k, v in c.function.arguments.items() %}{{ k }}={{ v }} {% endfor %}{% endfor %}{% endfor %}"
as_json, one_by_one = prompt(JSON, body), prompt(EACH, body)
print("with tojson:", as_json, flush=True)
print("one by one: ", one_by_one, flush=True)
assert "1.3e+06" in as_json and "7301.0" not in as_json
assert "1299999.99" in one_by_one and "7301.0" in one_by_one
os._exit(0)
PY
