"""Ask llama.cpp's server what it makes of conversations; see :mod:`.server_child`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_core.plugin import PluginError
from uploader_gguf.chat_template import READY
from uploader_gguf.chat_template.stub import write_stub
from uploader_gguf.llama_cpp import library
from uploader_gguf.llama_cpp.smoke import child_environment

TIMEOUT = 120
"""Seconds for all conversations; they take milliseconds."""

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
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # In a file: llama.cpp says more than a pipe holds.
        self._log = self._stack.enter_context(tempfile.TemporaryFile("a+b"))
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
        self._stack.close()
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
            PluginError: No file can be tried with the package that brings it.
        """
        write_stub(self._path, keys)
        said_before = os.fstat(self._log.fileno()).st_size
        request = {"path": str(self._path), "conversations": list(conversations)}
        line = self._exchange(json.dumps(request))
        found: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        if "error" in found:
            self._log.seek(said_before)
            why = _telling(self._log.read().decode("utf-8", errors="replace"))
            if "bind" in why:
                raise _not_usable(why)
            raise NoStartError(why or found["error"])
        return [_read(one) for one in found["conversations"]]

    def _exchange(self, line: str) -> str:
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = self._start()
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(TIMEOUT, process.kill)
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(line + "\n")
                process.stdin.flush()
            return process.stdout.readline()
        finally:
            timer.cancel()

    def _start(self) -> subprocess.Popen[str]:
        process = self._stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "uploader_gguf.chat_template.server_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                encoding="utf-8",
                env=child_environment(),
            )
        )
        assert process.stdout is not None
        if process.stdout.readline() != READY:
            self._log.seek(0)
            last = self._log.read().decode("utf-8", errors="replace").strip().splitlines()[-1:]
            raise _not_usable("".join(last))
        return process


def _read(said: Mapping[str, Any]) -> Answer:
    answer = Answer(
        prompt=said.get("prompt", ""), tokens=tuple(said.get("tokens", ())), error=said.get("error")
    )
    counted = said.get("counted", len(answer.tokens))
    if counted == len(answer.tokens):
        return answer
    # What chats get has to be what is compared here.
    return Answer(error=counted if isinstance(counted, str) else f"a chat has {counted} tokens")


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
