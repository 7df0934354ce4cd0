"""Ask llama.cpp, in a child process, whether a finished file works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import IntegrityError

TIMEOUT = 1800
"""Seconds for loading and a few tokens; a 70B file from a slow disk takes minutes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A text to be tokenised.

    Attributes:
        text: The text.
        special: Whether control tokens in it are recognised.
    """

    text: str
    special: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What llama.cpp said.

    Attributes:
        text: Generated text, without the prompt.
        tokens: Its token ids.
        texts: Token ids of the probes that were only to be tokenised.
    """

    text: str
    tokens: list[int]
    texts: list[list[int]]


def ask(
    path: Path,
    prompt: str,
    max_tokens: int,
    texts: tuple[Probe, ...] = (),
    lora: Path | None = None,
    projector: Path | None = None,
) -> Answer:
    """Load a file in a child process, generate greedily, and tokenise texts.

    Raises:
        IntegrityError: The file does not load or does not run; the end of llama.cpp's own log is
            in the error.
    """
    request = {
        "path": str(path),
        "lora": str(lora) if lora else None,
        "projector": str(projector) if projector else None,
        "prompt": prompt,
        "max_tokens": max_tokens,
        "texts": [[probe.text, probe.special] for probe in texts],
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "uploader_gguf.llama_cpp.runtime"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            env=child_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise _broken(path, f"no answer after {TIMEOUT} s") from error
    if done.returncode != 0:
        log = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
        llama = [line for line in log if not line.startswith((" ", "Traceback", "uploader_"))]
        telling = [line for line in llama if "error" in line.lower() or "failed" in line.lower()]
        raise _broken(path, "; ".join((telling or llama or [f"exit {done.returncode}"])[-3:]))
    answer = json.loads(done.stdout)
    return Answer(text=answer["text"], tokens=answer["tokens"], texts=answer["texts"])


def child_environment() -> dict[str, str]:
    """Return the environment for a child that runs llama.cpp.

    When an assertion of its own fails, llama.cpp would call a debugger, which takes long and writes
    on standard output.
    """
    return {**os.environ, "GGML_NO_BACKTRACE": "1"}


def _broken(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"llama.cpp cannot run {path.name}: {why}",
        owner=str(path),
        safe="the step is not recorded as done, so nothing of it is uploaded",
        next="convert with a newer checkout of llama.cpp, --gguf-llama-cpp DIR, or leave gguf out"
        " of --plugins",
    )


def check(
    path: Path,
    texts: tuple[Probe, ...] = (),
    *,
    run: bool = True,
    projector: Path | None = None,
) -> list[list[int]]:
    """Fail unless llama.cpp loads the file and computes a few tokens.

    Args:
        path: The file.
        texts: To be tokenised on the way.
        run: False to load it only.
        projector: Encoder of images and sound that is to be loaded with it.

    Returns:
        Token ids of each text.
    """
    return ask(path, "Hello", 4 if run else 0, texts, projector=projector).texts


def generate(
    path: Path | str, prompt: str, max_tokens: int = 32, *, lora: Path | str | None = None
) -> str:
    """Return what a GGUF file says after a prompt.

    Always the most likely token, so the same file gives the same text. The prompt is taken as it
    is: no chat template is put around it.

    Args:
        path: The file.
        prompt: Text; the tokens of control sequences in it are recognised.
        max_tokens: Where to stop, unless the model ends the text before.
        lora: A GGUF adapter that is applied on top.

    Raises:
        IntegrityError: The file does not load or does not run.
    """
    return ask(Path(path), prompt, max_tokens, lora=Path(lora) if lora else None).text
