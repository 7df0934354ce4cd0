#!/usr/bin/env bash
# ollama 0.6.3 (PyPI, the official client), Python 3.
#
# create_blob never asks whether Ollama has a blob: it posts all of it, a second time as well, and Ollama reads it
# to the end only to say 200.
#
# Why it surprises: `ollama create` itself asks with HEAD first, and the endpoint is there for that. A second run
# with a model of 40 GB sends 40 GB.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet ollama==0.6.3
"$work/venv/bin/python" - "$work" <<'PYTHON'
import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import ollama

seen, blobs = [], set()


class Server(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(200 if self.path.rpartition("/")[2] in blobs else 404)

    def do_POST(self):
        length = self.headers["Content-Length"]
        body = self.rfile.read(int(length)) if length else b"".join(self.chunks())
        seen.append(len(body))
        blobs.add("sha256:" + hashlib.sha256(body).hexdigest())
        self.answer(201)

    def chunks(self):
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def answer(self, status):
        seen.append(self.command)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
path = Path(sys.argv[1], "model.gguf")
path.write_bytes(bytes(1_000_000))
client = ollama.Client(f"http://127.0.0.1:{server.server_address[1]}")
client.create_blob(path)
client.create_blob(path)
print("what the server saw:", seen)
assert seen == [1_000_000, "POST", 1_000_000, "POST"]
client.close()
PYTHON
