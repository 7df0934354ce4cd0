"""A model's architecture, and which engines have code for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uploader_lora.stored import read_json
from uploader_lora.where_it_runs.names import takes_single_experts, unread, unread_by_any
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
        split: Whether a model is in several files of GGUF.
        names: Of the stored tensors, of a full model; none when they do not matter.
    """

    architectures: tuple[str, ...] = ()
    model_type: str = ""
    scheme: str = ""
    split: bool = False
    names: tuple[str, ...] = ()

    @classmethod
    def in_folder(cls, folder: Path | None) -> Described:
        """Read ``config.json`` of a folder; of a model without one nothing is known."""
        file = None if folder is None else folder / "config.json"
        return cls.of(read_json(file) if file is not None and file.is_file() else {})

    @classmethod
    def of(
        cls, config: Mapping[str, Any], scheme: str = "", names: Iterable[str] = ()
    ) -> Described:
        """Take what counts from a configuration."""
        known = config.get("architectures")
        return cls(
            architectures=tuple(map(str, known)) if isinstance(known, list) else (),
            model_type=str(config.get("model_type") or ""),
            scheme=scheme,
            names=tuple(names),
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

    def unread_by(self, engine: str) -> str:
        """Return why an engine does not load tensors of these names, as a clause; "" for none."""
        found = unread(engine, self.architectures, self.names)
        return f"it has no place for names such as {found}" if found else ""

    @property
    def takes_single_experts(self) -> bool:
        """Whether engines load its experts one by one, however the files have them."""
        return takes_single_experts(self.architectures)

    def in_doubt(self) -> str:
        """Return why an engine that nobody looked at may not load these names; "" for none."""
        found = unread_by_any(self.architectures, self.names)
        return f"nobody looked whether it has a place for names such as {found}" if found else ""
