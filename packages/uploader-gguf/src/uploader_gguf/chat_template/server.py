"""Ask llama.cpp's server what it makes of conversations; see :mod:`.server_child`."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import PluginError, RefusedError
from uploader_gguf.chat_template import READY, SECONDS
from uploader_gguf.chat_template.stub import token_count, write_stub
from uploader_gguf.llama_cpp import library
from uploader_gguf.llama_cpp.child import Child

TIMEOUT = 120
"""Seconds for all conversations; they take milliseconds."""

# Windows has no such limit; there it is late.
_TOO_LONG = getattr(signal, "SIGPROF", 0)
_STAMP = re.compile(r"^[\d.]+ [A-Z] +")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the server made of a conversation.

    Attributes:
        prompt: Its text, without the BOS that the tokenizer puts before it.
        tokens: Ids of it, with what the tokenizer puts around it.
        error: Why there is none.
    """

    prompt: str = ""
    tokens: tuple[int, ...] = ()
    error: str | None = None


class NoStartError(Exception):
    """The server does not start on a file; its own words are the message."""


class Server:
    """llama.cpp's server in a child process; a context manager.

    Args:
        work: Folder for the file that it is started on.
    """

    def __init__(self, work: Path) -> None:
        self._path = work / "vocabulary.gguf"
        self._child = Child("uploader_gguf.chat_template.server_child", timeout=TIMEOUT)

    def __enter__(self) -> Server:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._child.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._child.__exit__(*error)
        self._path.unlink(missing_ok=True)

    def ask(
        self, keys: Mapping[str, bytes], conversations: Sequence[Mapping[str, Any]]
    ) -> list[Answer]:
        """Start the server with the vocabulary and the template of a GGUF.

        Args:
            keys: Packed values of the GGUF, by key.
            conversations: Bodies of its ``/apply-template``.

        Raises:
            NoStartError: It does not start, or ends.
            RefusedError: The template takes too much time there.
            PluginError: No file can be tried with the package that brings it.
        """
        write_stub(self._path, keys)
        request = {
            "path": str(self._path),
            "tokens": token_count(keys),
            "conversations": list(conversations),
        }
        if self._child.start() and self._child.read() != READY:
            raise _not_usable("".join(self._child.said().strip().splitlines()[-1:]))
        line = self._child.exchange(json.dumps(request))
        if not line and (self._child.late or self._child.exit_code == -_TOO_LONG):
            raise _refused()
        found: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        if "error" in found:
            why = _telling(self._child.said())
            if "bind" in why:
                raise _not_usable(why)
            raise NoStartError(why or found["error"])
        return [_read(one) for one in found["conversations"]]


def _read(said: Mapping[str, Any]) -> Answer:
    answer = Answer(
        prompt=said.get("prompt", ""), tokens=tuple(said.get("tokens", ())), error=said.get("error")
    )
    counted = said.get("counted", len(answer.tokens))
    if counted == len(answer.tokens):
        return answer
    # What chats get has to be what is compared here.
    return Answer(error=counted if isinstance(counted, str) else f"a chat has {counted} tokens")


def _refused() -> RefusedError:
    return RefusedError(
        f"the chat template takes llama.cpp more than {SECONDS} s for one conversation",
        owner=f"the chat template with {library.version()}",
        safe="it was ended, and nothing of it is uploaded",
        next="take the chat template that the model was trained with, such as that of its base;"
        " where that is it and the machine is slow, add --no-gguf-template-check",
    )


def _not_usable(why: str) -> PluginError:
    return PluginError(
        f"llama.cpp's server cannot be started: {why}",
        owner=library.version(),
        next="upgrade xllamacpp, let it listen on 127.0.0.1, or leave the check out with"
        " --no-gguf-template-check",
    )


def _telling(log: str) -> str:
    """Return the lines of a log that say what went wrong."""
    lines = [_STAMP.sub("", line).strip() for line in log.splitlines()]
    return "; ".join(dict.fromkeys(x for x in lines if re.search(r"error|fail", x, re.I)))[:600]
