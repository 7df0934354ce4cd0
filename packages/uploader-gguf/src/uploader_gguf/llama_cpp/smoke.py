"""Ask llama.cpp, in a child process, whether finished files work."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from uploader_core.plugin import IntegrityError
from uploader_gguf.llama_cpp.child import Child

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


class LlamaCpp:
    """llama.cpp in a child process, for one file after the other; a context manager.

    The process is started when the first file is tried. It ends with the first one that fails.
    """

    def __init__(self) -> None:
        self._child = Child("uploader_gguf.llama_cpp.smoke_child", timeout=TIMEOUT)

    def __enter__(self) -> LlamaCpp:
        self._child.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._child.__exit__(*error)

    def ask(
        self,
        path: Path,
        prompt: str,
        max_tokens: int,
        texts: tuple[Probe, ...] = (),
        lora: Path | None = None,
        projector: Path | None = None,
    ) -> Answer:
        """Load a file, generate greedily, and tokenise texts.

        Raises:
            IntegrityError: The file does not load or does not run; the end of llama.cpp's own log
                is in the error.
        """
        request = {
            "path": str(path),
            "lora": str(lora) if lora else None,
            "projector": str(projector) if projector else None,
            "prompt": prompt,
            "max_tokens": max_tokens,
            "texts": [[probe.text, probe.special] for probe in texts],
        }
        self._child.start()
        line = self._child.exchange(json.dumps(request))
        if self._child.late:
            raise _broken(path, f"no answer after {TIMEOUT} s")
        if not line:
            log = self._child.said().strip().splitlines()
            llama = [x for x in log if not x.startswith((" ", "Traceback", "uploader_"))]
            telling = [x for x in llama if "error" in x.lower() or "failed" in x.lower()]
            ended = [f"exit {self._child.exit_code}"]
            raise _broken(path, "; ".join((telling or llama or ended)[-3:]))
        answer = json.loads(line)
        return Answer(text=answer["text"], tokens=answer["tokens"], texts=answer["texts"])

    def check(
        self,
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
        return self.ask(path, "Hello", 4 if run else 0, texts, projector=projector).texts


def ask(
    path: Path,
    prompt: str,
    max_tokens: int,
    texts: tuple[Probe, ...] = (),
    lora: Path | None = None,
) -> Answer:
    """Do what :meth:`LlamaCpp.ask` does, for one file."""
    with LlamaCpp() as llama:
        return llama.ask(path, prompt, max_tokens, texts, lora)


def _broken(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"llama.cpp cannot run {path.name}: {why}",
        owner=str(path),
        safe="the step is not recorded as done, so nothing of it is uploaded",
        next="convert with a newer checkout of llama.cpp, --gguf-llama-cpp DIR, or leave gguf out"
        " of --plugins",
    )


def check(path: Path, *, projector: Path | None = None) -> None:
    """Do what :meth:`LlamaCpp.check` does, for one file."""
    with LlamaCpp() as llama:
        llama.check(path, projector=projector)


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
