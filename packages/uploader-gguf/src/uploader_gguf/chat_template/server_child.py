"""llama.cpp's server for one file after the other, in a process of its own.

Runs as ``python -m uploader_gguf.chat_template.server_child``. Each line of standard input is a
request, ``{"path", "tokens", "conversations"}``, and is answered by a line of JSON: for each
conversation ``{"prompt", "tokens"}`` or ``{"error"}``, and ``{"error"}`` alone when the server does
not start on the file. The first one is a chat as well: ``"counted"`` is how many tokens its prompt
has there, or why it has none. The server listens on a free port of the loopback interface, its
default, with a key that only this process knows, and is gone when the answer is written. Templates
come from others: this process ends when one takes too much time, and gets no more memory than they
need.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import secrets
import sys
import urllib.parse
from typing import Any

import xllamacpp

from uploader_gguf.chat_template import READY, SECONDS
from uploader_lora.confined import limit_memory, limit_time, take_limit

CONTEXT = 512
"""Tokens; nothing is computed."""

MEBIBYTES = 192
"""More memory than before the start, of which the server takes 45 without its vocabulary."""

_SECONDS_A_TOKEN = 100e-6  # twenty times of what was measured; others' processors are slower
_MEBIBYTES_A_TOKEN = 2 / 1024  # three times
_THREADS = 8  # more than the server starts
_ONE_ARENA = -8, 1  # M_ARENA_MAX: else each thread takes 64 MiB of addresses
_NOT_THERE = 404  # older servers do not count
_TRIES = 5


class _Client:
    def __init__(self, address: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc)
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return self._ask("POST", path, json.dumps(body).encode())

    def wait_for_the_loop(self) -> None:
        """Ask what the server's own thread answers, not the one that takes requests.

        A server that is ended before that thread runs waits for it for ever.
        """
        self._ask("GET", "/slots", None)

    def _ask(self, method: str, path: str, data: bytes | None) -> tuple[int, Any]:
        self._connection.request(method, path, data, self._headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        self._connection.close()


def answer(path: str, tokens: int, conversations: list[dict[str, Any]]) -> dict[str, Any]:
    """Start the server on a file, and let it write the prompt of each conversation."""
    limit_memory(MEBIBYTES + tokens * _MEBIBYTES_A_TOKEN, threads=_THREADS, lasting=False)
    limit_time(SECONDS + tokens * _SECONDS_A_TOKEN)
    key = secrets.token_urlsafe(16)
    try:
        server = xllamacpp.Server(_parameters(path, key))
    except Exception as error:
        return {"error": str(error) or type(error).__name__}
    client = _Client(server.listening_address, key)
    try:
        found = [_render(client, body) for body in conversations]
        if found:
            found[0] = _counted(client, conversations[0], found[0])
        client.wait_for_the_loop()
        return {"conversations": found}
    finally:
        client.close()
        del server


def _counted(client: _Client, body: dict[str, Any], rendered: dict[str, Any]) -> dict[str, Any]:
    """Return the prompt of a chat with how many tokens it has there, or why it has none."""
    for _ in range(_TRIES):
        if "tokens" not in rendered:
            break
        limit_time(SECONDS)
        status, said = client.post("/v1/chat/completions/input_tokens", body)
        if status == _NOT_THERE:
            break
        counted = said["input_tokens"] if status == 200 else _why(said)
        rendered = {**rendered, "counted": counted}
        if counted == len(rendered["tokens"]):
            break
        again = _render(client, body)
        if again.get("prompt") == rendered["prompt"]:
            break
        rendered = again  # one with the time of day, which goes on
    return rendered


def _render(client: _Client, body: dict[str, Any]) -> dict[str, Any]:
    limit_time(SECONDS)
    status, said = client.post("/apply-template", body)
    if status != 200:
        return {"error": _why(said)}
    prompt = said["prompt"]
    # As the chat route does (``tokenize_input_prompts``).
    wanted = {"content": prompt, "add_special": True, "parse_special": True}
    status, said = client.post("/tokenize", wanted)
    if status != 200:
        return {"error": _why(said)}
    return {"prompt": prompt, "tokens": said["tokens"]}


def _why(said: Any) -> str:
    error = said.get("error") if isinstance(said, dict) else None
    return str(error.get("message") if isinstance(error, dict) else said)


def _parameters(path: str, key: str) -> Any:
    """Return the server's defaults as far as templates go, and little of everything else."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.use_jinja = True
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.n_ctx = CONTEXT
    parameters.n_parallel = 1
    parameters.n_threads_http = 1
    parameters.n_gpu_layers = 0
    parameters.warmup = False
    parameters.fit_params = False
    parameters.cache_ram_mib = 0
    for processors in (parameters.cpuparams, parameters.cpuparams_batch):
        processors.n_threads = 1
    return parameters


def main() -> None:
    """Answer requests, a line of JSON each, one line of standard output after the other."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # llama.cpp writes there as well
    take_limit("CORE", 0)
    with contextlib.suppress(AttributeError, OSError, TypeError):  # where there is no glibc
        ctypes.CDLL(None).mallopt(*_ONE_ARENA)
    _parameters("", "")  # another version may have others
    answers.write(READY)
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        said = answer(request["path"], request["tokens"], request["conversations"])
        answers.write(json.dumps(said) + "\n")
        answers.flush()
    os._exit(0)  # without the destructors of a library that may have failed before


if __name__ == "__main__":
    main()
