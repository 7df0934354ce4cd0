"""Whether what an earlier run brought to Ollama is what it has now: one request."""

from __future__ import annotations

import os

from uploader_core.plugin import ArrivalContext
from uploader_ollama.server.address import read_address, refuse_remote
from uploader_ollama.server.client import Client


def still_there(context: ArrivalContext) -> bool:
    """Tell whether every model has the digest that it had then.

    Raises:
        UploaderError: Ollama does not answer, or is on another machine now.
    """
    address = read_address(os.environ)
    refuse_remote(address, allowed=context.settings.remote)
    made = context.receipt.metadata.get("models")
    with Client(address, timeout=10.0) as client:
        there = client.models()
    return isinstance(made, dict) and all(there.get(name) == made[name] for name in made)
