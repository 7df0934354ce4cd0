"""Let several texts pass through a model together: all wait before a block for its weights. Heavy.

Each text has a ``model(...)`` call of its own, which is left in the middle and gone on with, so
whatever a model does between its blocks is done by its own code.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - this module computes
from greenlet import getcurrent, greenlet

from uploader_core.plugin import PluginError
from uploader_merged.forward.empty_model import EmptyModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A text before a block.

    Attributes:
        block: Number of the block.
        arguments: Of its ``forward``.
        keywords: Of its ``forward``.
    """

    block: int
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]

    def through(self, module: Any) -> Any:
        """Return what the block makes of the text."""
        return type(module).forward(module, *self.arguments, **self.keywords)


AtBlock = Callable[[int, Sequence[Call]], Sequence[Any]]
"""Given the number of a block and all texts before it, returns what comes out."""


def run_in_step(
    empty: EmptyModel,
    windows: Sequence[torch.Tensor],
    at_block: AtBlock,
    at_end: Callable[[int, torch.Tensor], None] | None = None,
) -> None:
    """Run texts through a model, block by block.

    Args:
        empty: The model; what is outside its blocks must be filled, or fill itself.
        windows: Token ids, each of shape (1, tokens).
        at_block: Does the work of a block.
        at_end: Given the number of a text and its logits, shape (tokens of the second half,
            vocabulary); None to stop after the last block.

    Raises:
        PluginError: The model does not call its blocks one after the other.
    """
    model, blocks = empty.model, empty.blocks
    for number, block in enumerate(blocks):
        block.forward = functools.partial(_wait, number)
    runs = [greenlet(functools.partial(_forward, model, window)) for window in windows]
    try:
        with torch.no_grad():
            calls = [_expect(0, run.switch()) for run in runs]
            for number in range(len(blocks)):
                outputs = at_block(number, calls)
                if number + 1 < len(blocks):
                    calls = [
                        _expect(number + 1, run.switch(output))
                        for run, output in zip(runs, outputs, strict=True)
                    ]
            if at_end is not None:
                for text, (run, output) in enumerate(zip(runs, outputs, strict=True)):
                    at_end(text, run.switch(output))
    finally:
        for run in runs:
            if not run.dead:
                run.throw()  # ends its call, in the middle of it
        for block in blocks:
            del block.forward


def _wait(number: int, *arguments: Any, **keywords: Any) -> Any:
    """Stand in for a block: hand the text over, and return what came out."""
    waiting = getcurrent().parent
    assert waiting is not None  # blocks are called in texts' own greenlets alone
    return waiting.switch(Call(block=number, arguments=arguments, keywords=keywords))


def _expect(number: int, found: Any) -> Call:
    if isinstance(found, Call) and found.block == number:
        return found
    raise PluginError(
        f"the model does not call its block {number} after the one before it",
        next="formats that need no data can be made; report the architecture",
    )


def _forward(model: Any, window: torch.Tensor) -> torch.Tensor:
    half = window.shape[1] - window.shape[1] // 2
    keywords: dict[str, Any] = {"input_ids": window, "use_cache": False}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        keywords["logits_to_keep"] = half
    logits: torch.Tensor = model(**keywords).logits
    return logits[0, -half:]
