"""The text to calibrate on, as windows of tokens. Heavy: the fine-tune's tokenizer is opened."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch  # noqa: TID253 - windows are tensors

from uploader_compressed.settings import CALIBRATION_OPTION, Settings
from uploader_core.plugin import Json, hash_file
from uploader_merged import Checkpoint
from uploader_merged.forward.windows import open_tokenizer, windows_of
from uploader_merged.texts import BUILTIN, CALIBRATION, text_path


def windows(checkpoint: Checkpoint, settings: Settings) -> list[torch.Tensor]:
    """Return what a run calibrates on, each of shape (1, tokens).

    Raises:
        RefusedError: There is no such text, it is shorter than a window, or there is no tokenizer.
    """
    path = text_path(settings.calibration, CALIBRATION_OPTION, CALIBRATION)
    with tempfile.TemporaryDirectory(prefix="uploader-tokenizer-") as folder:
        put_tokenizer(checkpoint.auxiliary(), Path(folder))
        tokenizer = open_tokenizer(Path(folder))
    return windows_of(
        path, tokenizer, checkpoint.config, settings.calibration_windows, CALIBRATION_OPTION
    )


def describe(settings: Settings, texts: Sequence[torch.Tensor]) -> dict[str, Json]:
    """Return what is said of the text in record and card; nothing of its content.

    Raises:
        RefusedError: There is no such text.
    """
    path = text_path(settings.calibration, CALIBRATION_OPTION, CALIBRATION)
    builtin = settings.calibration == BUILTIN
    return {
        "text": "calibration text of uploader" if builtin else path.name,
        "sha256": hash_file(path)[1],
        "windows": len(texts),
        "tokens": sum(text.numel() for text in texts),
    }


def put_tokenizer(files: Mapping[str, Path], folder: Path) -> None:
    """Copy what belongs to a tokenizer into a folder of its own."""
    for name, path in files.items():
        if path.stat().st_size < 1 << 30:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
