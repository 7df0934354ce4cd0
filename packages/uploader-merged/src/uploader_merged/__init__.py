"""Base model and LoRA adapter as one checkpoint: lazily, exactly, in bounded memory."""

from __future__ import annotations

from uploader_merged.base.companions import CompanionFile
from uploader_merged.checkpoint import Checkpoint, open_checkpoint
from uploader_merged.findings import checkpoint_findings
from uploader_merged.merge_plan.recipes import Recipe
from uploader_merged.merge_plan.stacking import AdapterChoice
from uploader_merged.vocabulary import tokens_without_rows

__all__ = [
    "AdapterChoice",
    "Checkpoint",
    "CompanionFile",
    "Recipe",
    "checkpoint_findings",
    "open_checkpoint",
    "tokens_without_rows",
]
