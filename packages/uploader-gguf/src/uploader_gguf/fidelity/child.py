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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TID253 - the module runs in a child process of its own

from uploader_core.plugin import IntegrityError, RefusedError
from uploader_gguf.llama_cpp.counting_child import say_progress
from uploader_gguf.llama_cpp.runtime import Batch, Context, Llama
from uploader_merged.fidelity.sums import Logits, Sums
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
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Measure models against a reference.

    Args:
        reference: GGUF file of base and adapter.
        models: GGUF files with the same vocabulary; all are open at once, as mapped files.
        text: UTF-8.
        most: Most contexts of the text that are used.
        progress: Told (steps done, steps in all).

    Returns:
        ``tokens`` and ``contexts`` that counted, ``context_length``, numbers of the ``reference``
        and of each of the ``models``.

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
        contexts = [stack.enter_context(llama.context(size)) for llama in every]
        total = len(every) * (len(pieces) + 1)
        sums = [Sums() for _ in every]
        done = 0
        for piece in pieces:
            ours: Logits | None = None
            for llama, context, seen in zip(every, contexts, sums, strict=True):
                progress(done, total)
                done += 1
                found = _logits(llama, context, piece, seen)
                seen.count(found, ours, np.array(piece[len(piece) // 2 + 1 :]))
                ours = found if ours is None else ours
        numbers = []
        for llama, context, seen in zip(every, contexts, sums, strict=True):
            progress(done, total)
            done += 1
            speed = _generation_speed(llama, context, pieces[0])
            numbers.append({**seen.numbers(), "generation_tokens_per_second": speed})
        progress(total, total)
    return {
        "tokens": sum(part.size for part in sums[0].surprise),
        "contexts": len(pieces),
        "context_length": size,
        "reference": numbers[0],
        "models": numbers[1:],
    }


def _pieces(llama: Llama, text: Path, size: int, most: int) -> list[list[int]]:
    tokens = llama.tokenize(read_text(text))
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


def _logits(llama: Llama, context: Context, piece: list[int], seen: Sums) -> Logits:
    """Return the outputs of the second half of a context, shape (tokens, vocabulary)."""
    half = len(piece) // 2
    batch = Batch.of(piece, half)
    started = time.perf_counter()
    if context.run(batch):
        raise IntegrityError("llama.cpp cannot compute over the text")
    seen.seconds.append(time.perf_counter() - started)
    seen.tokens.append(len(piece))
    shape = (len(piece) - half, llama.vocabulary)
    # The last one predicts what comes after the context, which nobody knows.
    outputs: Logits = np.ctypeslib.as_array(context.logits(), shape)[:-1].copy()
    return outputs


def _generation_speed(llama: Llama, context: Context, piece: list[int]) -> float:
    """Return tokens for each second, one after the other, behind half a context."""
    prompt = piece[: max(1, min(len(piece) // 2, 64))]
    if context.run(Batch.of(prompt, len(prompt) - 1)):
        raise IntegrityError("llama.cpp cannot compute over the text")
    count = min(GENERATED, len(piece) - len(prompt))
    seconds = 0.0
    for _ in range(count):
        token = int(np.ctypeslib.as_array(context.logits(), (llama.vocabulary,)).argmax())
        started = time.perf_counter()
        if context.run_on(token):
            raise IntegrityError("llama.cpp cannot compute the next token")
        seconds += time.perf_counter() - started
    return count / seconds


def main() -> None:
    """Answer one request from standard input; the last line on standard output is JSON."""
    request = json.loads(sys.stdin.read())

    result = compare(
        Path(request["reference"]),
        [Path(path) for path in request["models"]],
        Path(request["text"]),
        request["contexts"],
        say_progress,
    )
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
