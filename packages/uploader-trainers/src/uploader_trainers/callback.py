"""A callback for transformers' Trainer and everything built on it, TRL's trainers among them.

It never fails a training: whatever goes wrong is a line in the log.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from transformers import TrainerCallback

from uploader_core.api import write_json
from uploader_trainers.detached import Waiting, start
from uploader_trainers.record import FILE, describe_training

_log = logging.getLogger("uploader")
F = TypeVar("F", bound=Callable[..., None])


def _contained(event: F) -> F:
    """Let an event of the trainer end well, whatever happens in it."""

    @functools.wraps(event)
    def contained(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            event(self, *args, **kwargs)
        except Exception as error:
            _log.warning("uploader: %s: %s; training goes on", type(error).__name__, error)

    return contained  # type: ignore[return-value]


class UploaderCallback(TrainerCallback):
    """Writes ``training_lineage.json`` and, if asked to, releases the model after the training.

    Example:
        >>> trainer = SFTTrainer(..., callbacks=[UploaderCallback(to=["hf:me/my-model"])])
        >>> trainer.train()
        >>> trainer.save_model("outputs/final_model")

    Args:
        final_model: Folder that the script saves the model to, ``<output_dir>/final_model`` when
            None. The lineage is written there.
        dataset: Name of the training data, as it may be published.
        to: Destinations. When any is given, a run of its own is started, which waits until this
            process has ended and its memory is free, and then releases the final model.
        plugins: Formats of that run; those that uploader makes by default when empty.
        options: More arguments of ``uploader run``.

    Attributes:
        waiting: The run that was started, with its log; None while there is none.
    """

    def __init__(
        self,
        final_model: str | Path | None = None,
        *,
        dataset: str | None = None,
        to: Sequence[str] = (),
        plugins: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.final_model = final_model
        self.dataset = dataset
        self.to = (to,) if isinstance(to, str) else tuple(to)
        self.plugins = (plugins,) if isinstance(plugins, str) else tuple(plugins)
        self.options = tuple(options)
        self.waiting: Waiting | None = None
        self._started: float | None = None

    @_contained
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._started = time.time()

    @_contained
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        folder = Path(self.final_model or Path(args.output_dir) / "final_model")
        folder.mkdir(parents=True, exist_ok=True)
        try:
            loader = kwargs.get("train_dataloader")
            lineage = describe_training(
                args,
                state,
                model=kwargs.get("model"),
                examples=None if loader is None else len(loader.dataset),
                dataset=self.dataset,
                started=self._started,
                finished=time.time(),
            )
            write_json(folder / FILE, lineage)
        finally:
            # A release does not depend on its lineage.
            if self.to:
                self.waiting = start(folder, to=self.to, plugins=self.plugins, options=self.options)
                _log.info("uploader: %s is released after this process has ended", folder)
