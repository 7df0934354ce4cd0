"""Load files, generate and tokenise: ``python -m uploader_gguf.llama_cpp.smoke_child``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from uploader_gguf.llama_cpp.runtime import Llama


def main() -> None:
    """Answer requests, a line of JSON each, one line of standard output after the other.

    Request: ``{"path", "lora", "projector", "prompt", "max_tokens", "texts"}``. Answer:
    ``{"text", "tokens", "texts"}``, the last with the token ids of each given text, which come as
    pairs of text and whether control tokens in it count.
    """
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    lora = request["lora"]
    llama = Llama(Path(request["path"]), Path(lora) if lora else None)
    try:
        if request["projector"]:
            llama.load_projector(Path(request["projector"]))
        tokens: list[int] = []
        if request["max_tokens"] and llama.generates:
            tokens = list(llama.generate(llama.tokenize(request["prompt"]), request["max_tokens"]))
        return {
            "text": b"".join(map(llama.piece, tokens)).decode("utf-8", errors="replace"),
            "tokens": tokens,
            "texts": [
                llama.tokenize(text, around=False, special=special)
                for text, special in request["texts"]
            ],
        }
    finally:
        llama.close()


if __name__ == "__main__":
    main()
