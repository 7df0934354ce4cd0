#!/usr/bin/env bash
# huggingface_hub 2.4.0, httpx2 as it brings it; a server on 127.0.0.1, no network
#
# With HF_OIDC_RESOURCE the client exchanges the identity of a CI's job for a token.
# 1. It asks GitHub's address with `params=`, and httpx2 then drops the query that the address had
#    (`?api-version=2.0`).
# 2. A token that lasts at most 300 seconds is never kept: every request exchanges again.
# 3. HF_TOKEN beside it is not looked at: the identity comes first, and a refusal of it raises.
#
# Surprising: (3) `get_token()` is a function that asks the network and raises, in any process that has
# the variable. So it must not be in the environment of a process that only computes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'huggingface_hub==2.4.0'
env -u HF_ENDPOINT "$work/venv/bin/python" - <<'PY'
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

seen = []
answer = {"value": "identity", "access_token": "hf_jwt_x", "expires_in": 300}


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen.append(f"{self.command} {self.path}")
        body = json.dumps(answer).encode()
        self.send_response(200 if "access_token" in answer or self.command == "GET" else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
os.environ |= {
    "HF_ENDPOINT": url,
    "HF_TOKEN": "hf_not_looked_at",
    "HF_OIDC_RESOURCE": "me/model",
    "GITHUB_ACTIONS": "true",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "proof",
    "ACTIONS_ID_TOKEN_REQUEST_URL": f"{url}/identity?api-version=2.0",
}
from huggingface_hub import get_token

assert [get_token(), get_token()] == ["hf_jwt_x"] * 2
print(*seen, sep="\n")
assert not any("api-version" in line for line in seen)
assert sum(line.startswith("POST") for line in seen) == 2
del answer["access_token"]
try:
    get_token()
except Exception as error:
    print("beside HF_TOKEN:", type(error).__name__)
else:
    raise SystemExit("HF_TOKEN was taken")
PY
