"""An importance matrix from text: which text, which file it runs on, and the child that does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from uploader_core.plugin import PluginError
from uploader_gguf.llama_cpp.counting_child import last_of, run_counting
from uploader_merged.texts import CALIBRATION, text_path


def text_of(chosen: str) -> Path:
    """Return the text of ``--gguf-calibration``.

    Raises:
        RefusedError: There is no such file, or next to nothing in it.
    """
    return text_path(chosen, "--gguf-calibration", CALIBRATION)


def compute(
    model: Path, text: Path, target: Path, progress: Callable[[str, int, int | None, str], None]
) -> None:
    """Run a model over a text in a child process and write the importance matrix.

    Args:
        model: A GGUF file that is close to the checkpoint: F16, BF16 or Q8_0.
        text: UTF-8.
        target: What is written.
        progress: Told about pieces of text.

    Raises:
        PluginError: llama.cpp failed; the end of its log is in the error.
    """
    request = {"model": str(model), "text": str(text), "target": str(target), "chunks": 0}
    log = target.with_suffix(".log")
    code, _ = run_counting(
        "uploader_gguf.importance.calibrate",
        request,
        log,
        lambda done, total: progress("calibrating", done, total, "steps"),
    )
    if code != 0 or not target.is_file():
        raise PluginError(
            f"the importance matrix could not be computed: {last_of(log) or 'no message'}",
            owner=str(text),
            safe="no file was made from it",
            next="compute it with llama-imatrix and give it with --gguf-imatrix",
        )
