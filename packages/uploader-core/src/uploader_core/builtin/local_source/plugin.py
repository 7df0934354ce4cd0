"""Plugin ``local``: adapters and models in folders, and what looks like one and is none."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.contract.hookspecs import hookimpl
from uploader_core.contract.sources import STACK
from uploader_core.contract.specs import ReaderSpec

SOURCE_KINDS = ("adapter", "base", STACK)
"""Kinds that no step makes; with ``checkpoint`` all that a source can be."""


@hookimpl
def uploader_source_readers() -> Iterable[ReaderSpec]:
    yield ReaderSpec(
        name="folder",
        summary="adapters of PEFT and models of transformers, in folders",
        kinds=SOURCE_KINDS,
        adapters=True,
        fallback=True,
        run="uploader_core.builtin.local_source.read:read",
    )
