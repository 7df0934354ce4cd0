"""How far the answers with a derived adapter are from those with the trained one. Heavy."""

from __future__ import annotations

import shutil
from pathlib import Path

from uploader_core.plugin import Json, StepContext, UploaderError
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.fidelity.compare import compare
from uploader_merged.forward.windows import open_tokenizer, windows_of
from uploader_merged.settings import ServingLossySettings
from uploader_merged.texts import BUILTIN, HELD_OUT, text_path

_OPTION = "--merged-serving-contexts"
_SHOWN = ("kl_mean", "top1")


def measured(
    context: StepContext, checkpoint: Checkpoint, settings: ServingLossySettings
) -> dict[str, Json]:
    """Compare base and derived adapter with base and trained adapter, on held-out text.

    Args:
        context: Of the step; its output holds the derived adapter.
        checkpoint: Base and trained adapter.
        settings: How much text.

    Returns:
        Divergence and agreement, or why they are not known.
    """
    if not settings.serving_contexts:
        return {"not_measured": f"it was not asked for ({_OPTION} 0)"}
    text = text_path(BUILTIN, _OPTION, HELD_OUT)
    scratch = context.work / "logits"
    try:
        tokenizer = open_tokenizer(_with_tokenizer(context, checkpoint))
        windows = windows_of(text, tokenizer, checkpoint.config, settings.serving_contexts, _OPTION)
        found = compare(
            checkpoint.widened(),
            open_checkpoint(checkpoint.base.folder, context.output.path).widened(),
            windows,
            scratch,
            lambda done, total: context.progress("measuring", done, total, "layers"),
        )
    except UploaderError as error:
        # What is written is what the errors of the modules say, measured or not.
        context.log.warning("not measured: %s", error.what)
        return {"not_measured": error.what}
    shutil.rmtree(scratch)
    return {
        "text": "held-out text of uploader",
        "tokens": found["tokens"],
        "contexts": found["contexts"],
        **{k: float(f"{v:.4g}") for k, v in found["model"].items() if k in _SHOWN},
    }


def _with_tokenizer(context: StepContext, checkpoint: Checkpoint) -> Path:
    folder = context.output.path
    return folder if (folder / "tokenizer_config.json").is_file() else checkpoint.base.folder
