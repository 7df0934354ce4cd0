"""What ``uploader doctor`` should know: whether an Ollama runs, and whether it is new enough."""

from __future__ import annotations

import os
from collections.abc import Iterator

from uploader_core.plugin import Diagnosis, UploaderError
from uploader_ollama.model.recipe import OLDEST
from uploader_ollama.model.versions import is_older
from uploader_ollama.server.address import VARIABLE, read_address
from uploader_ollama.server.client import Client

_NAME = "Ollama"


def diagnose(*, online: bool) -> Iterator[Diagnosis]:
    """Ask the Ollama that would be used; one on another machine only where that is allowed."""
    address = read_address(os.environ)
    if not address.is_here and not online:
        what = f"{VARIABLE} names another machine, {address.host}, which was not asked"
        yield Diagnosis(name=_NAME, level="ok", what=what)
        return
    try:
        with Client(address, timeout=2.0) as client:
            version = client.version()
    except UploaderError as error:
        yield Diagnosis(name=_NAME, level="warn", what=error.what, fix=error.next)
        return
    if is_older(version):
        yield Diagnosis(
            name=_NAME,
            level="fail",
            what=f"{version} at {address.url} does not render the chat template in a GGUF",
            fix=f"update it to {OLDEST} or newer",
        )
    else:
        yield Diagnosis(name=_NAME, level="ok", what=f"{version} at {address.url}")
