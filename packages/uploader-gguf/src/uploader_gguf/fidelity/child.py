"""Compare a model with its reference, logits with logits, as ``llama-perplexity`` does.

Runs in a child process, ``python -m uploader_gguf.fidelity.child``, because llama.cpp ends its
process when an assertion of its own fails. What is counted follows
``tools/perplexity/perplexity.cpp`` (llama.cpp b10605): contexts of equal length that start from
nothing, of which the second half counts, each token predicted from all before it. Logits of the
reference are not kept in a file, at 16 bits as there, but computed beside those of the model.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253 - the module runs in a child process of its own

from uploader_core.plugin import IntegrityError, RefusedError
from uploader_gguf.llama_cpp.counting_child import say_found, say_progress
from uploader_gguf.llama_cpp.functions import Batch
from uploader_gguf.llama_cpp.runtime import Context, Llama
from uploader_merged.fidelity.sums import Logits, Seen, Sums
from uploader_merged.forward.size import LONGEST
from uploader_merged.texts import read_text

CONTEXT = 512
"""Tokens of a context; fewer when a model takes fewer."""

GENERATED = 24
"""Tokens that are generated to time it."""


def compare(
    reference: Path,
    models: list[Path],
    text: Path,
    most: int,
    known: Sequence[int],
    *,
    timed: bool,
    progress: Callable[[int, int], None],
    found: Callable[[int, Seen], None],
) -> dict[str, Any]:
    """Measure models against a reference, context by context.

    Args:
        reference: GGUF file of base and adapter.
        models: GGUF files with the same vocabulary; all are open at once, as mapped files.
        text: UTF-8.
        most: Most contexts of the text that are used.
        known: How many contexts of each model, from the first one, are not measured again.
        timed: Say as well how fast each computes; nothing else should compute meanwhile.
        progress: Told (steps done, steps in all).
        found: Told which of the models, and what was seen of its next context.

    Returns:
        ``context_length``, and ``speeds`` of the reference and of each of the models: ``seconds``
        and ``tokens`` of contexts, ``generation_tokens_per_second``; nothing where it is not timed.

    Raises:
        RefusedError: The text is too short, or the model has no next token.
        IntegrityError: A model does not load, has another vocabulary, or computes NaN.
    """
    with contextlib.ExitStack() as stack:
        every = []
        for path in (reference, *models):
            llama = Llama(path)
            stack.callback(llama.close)
            every.append(llama)
        first = every[0]
        if not first.generates:
            raise RefusedError("an embedding model predicts no next token", owner=reference.name)
        size = min(CONTEXT, first.trained_context)
        pieces = _pieces(first, text, size, most)
        clocks = [_Clock(llama, stack.enter_context(llama.context(size))) for llama in every]
        todo = [[n for n, count in enumerate(known) if count <= k] for k in range(len(pieces))]
        total = sum(len(some) + 1 for some in todo if some) + (len(every) if timed else 0)
        done = 0

        def step() -> None:
            nonlocal done
            progress(done, total)
            done += 1

        for piece, some in zip(pieces, todo, strict=True):
            if not some:
                continue
            following = np.array(piece[len(piece) // 2 + 1 :])
            step()
            ours = clocks[0].logits(piece)
            seen = Sums()
            seen.count(ours, None, following)
            for n in some:
                step()
                theirs = Sums()
                theirs.count(clocks[n + 1].logits(piece), ours, following)
                found(n, (seen, theirs))
        speeds = []
        for clock in clocks if timed else ():
            step()
            speeds.append(clock.speed(pieces))
        progress(total, total)
    return {"context_length": size, "speeds": speeds}


def _pieces(llama: Llama, text: Path, size: int, most: int) -> list[list[int]]:
    tokens = llama.tokenize(read_text(text, size * most * LONGEST))
    count = min(len(tokens) // size, most)
    if count < 1:
        raise RefusedError(
            f"{text.name} has {len(tokens)} tokens, and a measurement needs at least {size}",
            owner=str(text),
            next="take a longer text with --gguf-measure-text",
        )
    pieces = [tokens[number * size : (number + 1) * size] for number in range(count)]
    if llama.bos is not None:
        for piece in pieces:
            piece[0] = llama.bos
    return pieces


class _Clock:
    """Computes with a model, and sees how long that takes."""

    def __init__(self, llama: Llama, context: Context) -> None:
        self._llama, self._context = llama, context
        self._seconds: list[float] = []
        self._tokens: list[int] = []

    def logits(self, piece: list[int]) -> Logits:
        """Return the outputs of the second half of a context, shape (tokens, vocabulary)."""
        half = len(piece) // 2
        batch = Batch.of(piece, half)
        started = time.perf_counter()
        if self._context.run(batch):
            raise IntegrityError("llama.cpp cannot compute over the text")
        self._seconds.append(time.perf_counter() - started)
        self._tokens.append(len(piece))
        shape = (len(piece) - half, self._llama.vocabulary)
        # The last one predicts what comes after the context, which nobody knows.
        outputs: Logits = np.ctypeslib.as_array(self._context.logits(), shape)[:-1].copy()
        return outputs

    def speed(self, pieces: list[list[int]]) -> dict[str, Any]:
        """Return what contexts took, and how many tokens it generates in a second.

        One context is computed once more where others measured most of them.
        """
        generated = self._generated(pieces[0])
        if len(self._seconds) < 2:  # the first one waits for the disk; generating has read it all
            self._seconds, self._tokens = [], []
            self.logits(pieces[0])
        return {
            "seconds": self._seconds,
            "tokens": self._tokens,
            "generation_tokens_per_second": generated,
        }

    def _generated(self, piece: list[int]) -> float:
        """Return tokens for each second, one after the other, behind half a context."""
        prompt = piece[: max(1, min(len(piece) // 2, 64))]
        if self._context.run(Batch.of(prompt, len(prompt) - 1)):
            raise IntegrityError("llama.cpp cannot compute over the text")
        count = min(GENERATED, len(piece) - len(prompt))
        seconds = 0.0
        for _ in range(count):
            logits = np.ctypeslib.as_array(self._context.logits(), (self._llama.vocabulary,))
            token = int(logits.argmax())
            started = time.perf_counter()
            if self._context.run_on(token):
                raise IntegrityError("llama.cpp cannot compute the next token")
            seconds += time.perf_counter() - started
        return count / seconds


def main() -> None:
    """Answer one request from standard input; the last line on standard output is JSON."""
    request = json.loads(sys.stdin.read())

    def found(model: int, seen: Seen) -> None:
        ours, theirs = seen
        say_found({"model": model, "ours": ours.to_json(), "theirs": theirs.to_json()})

    result = compare(
        Path(request["reference"]),
        [Path(path) for path in request["models"]],
        Path(request["text"]),
        request["contexts"],
        request["known"],
        timed=request["timed"],
        progress=say_progress,
        found=found,
    )
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
