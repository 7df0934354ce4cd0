"""Chat templates of others are rendered by transformers in a child with limits, and nowhere else.

Jinja's sandbox keeps a template from Python, not from time and memory: a loop in a loop is a
template like any other. Everything around the template stays transformers' own; only what it has
compiled, and would render in this process, is handed to the child.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any

from uploader_core.plugin import PluginError, RefusedError
from uploader_merged.rendering import child

SECONDS = 0.8
"""Processor time that one prompt may take; what compiles longest of TRL's templates takes 0.05.

Where processors are slow it may take longer, see :mod:`.child`.
"""

_WALL = 20.0
_COMPILE = "_compile_jinja_template"
# What Python needs to start; nothing else of this process's environment is the template's business.
_VARIABLES = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "TMPDIR", "TEMP", "TZ", "LANG")
_QUIET = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class TemplateError(Exception):
    """A template does not render a conversation, in its own words or in those of Jinja."""


@contextlib.contextmanager
def limited_templates() -> Iterator[None]:
    """Render in a child with limits what transformers renders meanwhile.

    Raises:
        RefusedError: By whoever renders: the template took too much time or memory.
        TemplateError: By whoever renders: what the template raised.
        PluginError: transformers renders templates in another way than those that are known, or
            no process can be started that does it.
    """
    from transformers.utils import chat_template_utils

    if not hasattr(chat_template_utils, _COMPILE):
        raise PluginError(
            "this transformers renders chat templates in a way that is not known here",
            owner="uploader-merged",
            safe="no template was rendered",
            next="pip install 'transformers<6', or a newer uploader-merged",
        )
    usual = getattr(chat_template_utils, _COMPILE)
    with _Child() as renderer:
        setattr(chat_template_utils, _COMPILE, lambda text: _Compiled(renderer, text))
        try:
            yield
        finally:
            setattr(chat_template_utils, _COMPILE, usual)


class _Compiled:
    """What stands for a template that transformers has compiled."""

    def __init__(self, renderer: _Child, text: str) -> None:
        self._renderer = renderer
        self._text = text

    def render(self, **variables: Any) -> str:
        return self._renderer.render(self._text, variables)


class _Child:
    """The process that renders; it is started when it is needed, and again when it was ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._refused: set[str] = set()

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def render(self, template: str, variables: dict[str, Any]) -> str:
        if template in self._refused:
            raise _too_much()
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(_WALL, process.kill)
        timer.start()
        try:
            asked = {"template": template, "variables": variables, "seconds": SECONDS}
            answer = _ask(process.stdin, process.stdout, json.dumps(asked))
        finally:
            timer.cancel()
        if answer is None or answer.get("limit"):
            self._end()
            self._refused.add(template)
            raise _too_much()
        if "error" in answer:
            raise TemplateError(answer["error"])
        return str(answer["text"])

    def _start(self) -> subprocess.Popen[str]:
        environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", child.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="surrogatepass",
            env=environment | dict.fromkeys(_QUIET, "1") | {"PYTHONUTF8": "1"},
        )
        assert process.stdout is not None
        # Its own start is no fault of the template, and may be slow.
        said = process.stdout.readline()
        if said != child.READY:
            if said:  # something else prints there, and the child waits for a template
                process.kill()
            code = process.wait()
            self._end()
            raise PluginError(
                f"the process that renders chat templates does not start: it ended with {code}",
                owner="uploader-merged",
                safe="no template was rendered",
                next=f"see what {sys.executable} -m {child.__name__} says",
            )
        return process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _ask(requests: IO[str], answers: IO[str], line: str) -> dict[str, Any] | None:
    """Return the answer; None where the child has ended."""
    try:
        requests.write(line + "\n")
        requests.flush()
        said = answers.readline()
    except OSError:
        return None
    return dict(json.loads(said)) if said.endswith("\n") else None


def _too_much() -> RefusedError:
    return RefusedError(
        f"the chat template takes more than {SECONDS} s, {child.MEBIBYTES} MB or "
        f"{child.LONGEST:,} characters for one conversation",
        owner="chat_template of the tokenizer",
        safe="it was ended, and nothing of it is uploaded",
        next="take the chat template that the model was trained with, such as that of its base",
    )
