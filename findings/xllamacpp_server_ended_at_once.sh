#!/usr/bin/env bash
# xllamacpp 2026.10.11549 (llama.cpp's server), gguf 0.19.0, Linux x86-64
#
# `del server` of a Server that has just been started waits for ever in some of ten attempts: its
# destructor asks the loop of the model to end, and where the loop has not begun yet, it begins after that.
# Once something that needs the loop was answered (/slots), the server ends at once.
#
# Surprising: the constructor returns when the model is loaded and the address is known, and requests such
# as /apply-template are answered without the loop. A program that asks only these hangs now and then.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'xllamacpp==2026.10.11549' 'gguf==0.19.0' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" - 2>server.log <<'PY'
import multiprocessing
import os
import urllib.request

import gguf
import numpy as np
import xllamacpp


def make():
    """Write a model of one layer of zeros."""
    w = gguf.GGUFWriter("m.gguf", "llama")
    w.add_context_length(512), w.add_embedding_length(32), w.add_block_count(1)
    w.add_feed_forward_length(32), w.add_head_count(1), w.add_layer_norm_rms_eps(1e-5)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), "\u2581"]
    w.add_tokenizer_model("llama"), w.add_token_list(tokens), w.add_token_scores([0.0] * len(tokens))
    w.add_token_types([2, 3, 3, *[6] * 256, 1])
    shapes = {"token_embd": (len(tokens), 32), "output_norm": (32,)}
    shapes |= {f"blk.0.{n}": (32,) for n in ("attn_norm", "ffn_norm")}
    squares = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes |= {f"blk.0.{n}": (32, 32) for n in squares}
    for name, shape in shapes.items():
        w.add_tensor(f"{name}.weight", np.zeros(shape, np.float32))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


def serve(wait):
    """Start a server and end it."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.warmup = "m.gguf", 512, False
    server = xllamacpp.Server(parameters)
    if wait:
        urllib.request.urlopen(server.listening_address + "/slots").read()
    del server
    os._exit(0)


def hanging(wait):
    """Count the processes of ten that are still there when they had ten seconds."""
    processes = [multiprocessing.Process(target=serve, args=(wait,)) for _ in range(10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(10)
    left = [process for process in processes if process.is_alive()]
    for process in left:
        process.kill()
    return len(left)


make()
at_once, later = hanging(False), hanging(True)
print(f"ended at once: {at_once} of 10 hang; after /slots: {later}", flush=True)
assert later == 0
assert at_once > 0, "perhaps it is repaired, or this machine is too fast: run it again"
os._exit(0)
PY
