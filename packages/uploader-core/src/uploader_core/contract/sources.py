"""What a reader of sources is given and returns: what a plan can start from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uploader_core.artifact import Artifact, Json
from uploader_core.contract.context import FetchedSource
from uploader_core.contract.specs import Finding
from uploader_core.errors import UploaderError, UsageError
from uploader_core.home import from_home

STACK = "adapter-stack"
"""Several adapters in order; the one kind of source whose metadata is a part of what it is."""


Fetch = Callable[[str, str], "FetchedSource | None"]
"""(reference, purpose) -> folder, or None when no plugin answers to the reference."""

Identify = Callable[[Path], "FetchedSource | None"]
"""A local folder -> what it is a copy of, or None when no plugin knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Everything that a plan can start from.

    Attributes:
        kind: The kind of the source itself (``adapter``, ``adapter-stack``, ``checkpoint``).
        folder: The source's folder.
        artifacts: By kind: the source, and the base model under it. Their files need no digest; the
            run hashes them.
        fetched: What a source plugin said of it; None for a folder that the user pointed at.
        missing: Kinds that would be there but for an error, which is raised only when a step
            needs the kind.
        name: What a release of it is called where nobody says.
        base_model: As the adapter or the user named it, None when unknown.
        base_is_hub_id: Whether that may be published.
        base_revision: Commit, when known.
        base_pinned: Whether somebody asked for that revision, and did not just get the newest.
        findings: What the user should know of the source and its base.
    """

    kind: str
    folder: Path
    artifacts: Mapping[str, Artifact]
    fetched: FetchedSource | None = None
    missing: Mapping[str, UploaderError] = field(default_factory=dict)
    name: str = ""
    base_model: str | None = None
    base_is_hub_id: bool = False
    base_revision: str | None = None
    base_pinned: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def shown(self) -> str:
        """What a person knows the source by: its folder, or its public name and commit."""
        if self.fetched is None:
            return str(self.folder)
        return f"{self.fetched.model_id}@{self.fetched.revision}"

    def to_json(self, because: str | None = None) -> dict[str, Json]:
        """Return what programs are told.

        Args:
            because: Why this source, where the user named none.
        """
        return {"kind": self.kind, "path": self.shown, "because": because}


@dataclass(frozen=True, kw_only=True, slots=True)
class Located:
    """Where a reference leads on this machine.

    Attributes:
        path: A folder, or a file.
        fetched: What a source plugin said of it; None for a path that the user typed.
    """

    path: Path
    fetched: FetchedSource | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderContext:
    """Given to a reader of sources. Names of files, headers and small JSON only; write nothing.

    Attributes:
        reference: What the user typed: a path, or a name that a source plugin fetches.
        base: What ``--base`` says, in the same form.
        adapters: What ``--adapter`` says, ``REFERENCE`` or ``REFERENCE=WEIGHT`` each, in order.
        fetch: Asks the source plugins for a name; None when none answers to it. The second
            argument is the purpose, ``source`` or ``base``. The same name is fetched once.
        identify: Asks them what a folder of this machine is a copy of.
    """

    reference: str
    base: str | None = None
    adapters: tuple[str, ...] = ()
    fetch: Fetch = lambda *_: None
    identify: Identify = lambda _: None

    def locate(self, reference: str | None = None) -> Located:
        """Find a source on this machine, fetching what is no local path.

        Args:
            reference: The source itself when None.

        Raises:
            UsageError: There is no such folder, and no plugin fetches it.
        """
        reference = self.reference if reference is None else reference
        path = from_home(reference)
        if path.exists():
            return Located(path=path.resolve() if path.is_dir() else path)
        fetched = None if is_local(reference) else self.fetch(reference, "source")
        if fetched is not None:
            return Located(path=fetched.path.resolve(), fetched=fetched)
        raise UsageError(
            f"there is no folder {reference}",
            safe="nothing was written",
            next="give the folder that the trainer saved, such as ./outputs/final_model",
        )


def is_local(reference: str) -> bool:
    """Tell a path from a public name: a name has no leading dot, slash, tilde or drive."""
    return (
        reference.startswith((".", "/", "~", "\\"))
        or bool(re.match(r"[A-Za-z]:[\\/]", reference))
        or Path(reference).exists()
    )
