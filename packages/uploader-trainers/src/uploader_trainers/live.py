"""A model that lies in memory, written to the folder that a trainer would save it to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from uploader_core.api import UsageError, write_json
from uploader_trainers.record import FILE, describe_training

_FINAL = "final_model"


def save(source: Any, *, tokenizer: Any = None, folder: Path | None = None) -> str:
    """Return a reference that can be released: text and paths as they are, all else is saved.

    Args:
        source: A folder, a public name, a peft or transformers model, or a trainer.
        tokenizer: Or processor, saved with a model; a trainer brings its own.
        folder: Where to save; ``final_model`` in the trainer's or the working folder when None.

    Raises:
        UsageError: The source is none of these.
    """
    if isinstance(source, (str, Path)):
        return str(source)
    trainer = source if hasattr(source, "model") and hasattr(source, "train") else None
    is_model = hasattr(source, "save_pretrained")
    if trainer is not None and not is_model and hasattr(source, "args"):
        folder = folder or Path(source.args.output_dir) / _FINAL
        tokenizer = tokenizer or getattr(source, "processing_class", None)
        source.save_model(str(folder))
        model = source.model
    elif is_model:
        folder = folder or Path(_FINAL)
        source.save_pretrained(str(folder))
        model, trainer = source, None
    else:
        raise UsageError(
            f"a {type(source).__name__} is nothing that can be released",
            next="give a folder, a name on the Hub, a model of transformers or peft, or a trainer",
        )
    if tokenizer is not None:
        tokenizer.save_pretrained(str(folder))
    if trainer is not None and not (folder / FILE).is_file():
        lineage = describe_training(trainer.args, trainer.state, model=model, finished=time.time())
        write_json(folder / FILE, lineage)
    return str(folder)
