"""What a user wants."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the user asked for.

    Attributes:
        source: Folder or reference.
        plugins: Plugin ids or kinds; empty for every format that a distribution offers by default
            and that fits the source.
        destinations: ``scheme:rest``.
        output: Release folder; next to the source when None.
        name: Name of the release; from the destination or the source when None.
        base: Overrides the base model that the adapter names.
        measure: Also measure the formats, where a plugin can.
        leave_behind: Files of the source that shall not be missed, though they look like a part of
            the model.
        adapters: More adapters to merge after the source, ``REFERENCE`` or ``REFERENCE=WEIGHT``.
        redo: Steps that run again though they are done: ids of steps or plugins, kinds, or
            destinations.
        command: The command line, for the manifest.
    """

    source: str
    plugins: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    output: Path | None = None
    name: str | None = None
    base: str | None = None
    adapters: tuple[str, ...] = ()
    measure: bool = False
    leave_behind: tuple[str, ...] = ()
    redo: tuple[str, ...] = ()
    command: str = ""
