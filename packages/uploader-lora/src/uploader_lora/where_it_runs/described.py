"""A model's architecture, and which engines have code for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_lora.stored import read_json
from uploader_lora.where_it_runs.verdicts import facts

_BY_MODEL_TYPE = ("MLX", "TGI")
"""Engines that look at ``model_type`` and not at ``architectures``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """What decides besides the form of the files.

    Attributes:
        architectures: Of ``config.json``; none when it is not known.
        model_type: Of the same; "" when it is not known.
        scheme: Kind of compressed-tensors, such as ``w4a16``.
    """

    architectures: tuple[str, ...] = ()
    model_type: str = ""
    scheme: str = ""

    @classmethod
    def in_folder(cls, folder: Path | None) -> Described:
        """Read ``config.json`` of a folder; of a model without one nothing is known."""
        file = None if folder is None else folder / "config.json"
        return cls.of(read_json(file) if file is not None and file.is_file() else {})

    @classmethod
    def of(cls, config: Mapping[str, Any], scheme: str = "") -> Described:
        """Take what counts from a configuration."""
        names = config.get("architectures")
        return cls(
            architectures=tuple(map(str, names)) if isinstance(names, list) else (),
            model_type=str(config.get("model_type") or ""),
            scheme=scheme,
        )

    def unknown_to(self, engine: str) -> str:
        """Return which architecture an engine has no code of its own for, as a clause; "" for none.

        It may run one by the code of transformers. What is not known here counts as known there.
        """
        by_type = engine in _BY_MODEL_TYPE
        names = (self.model_type,) if by_type and self.model_type else self.architectures
        known = facts()[engine]["architectures"]
        missing = [] if by_type and not self.model_type else [n for n in names if n not in known]
        return f"it has no code of its own for {missing[0]}" if missing else ""
