"""What a step is given while it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, Json, Receipt, UploadFile
from uploader_core.contract.context import ReleaseInfo, Section, find_artifact
from uploader_core.contract.output import OutputFolder
from uploader_core.contract.specs import CardFacts
from uploader_core.errors import CancelledError, PluginError


@dataclass(frozen=True, kw_only=True, slots=True)
class StepData:
    """What of a :class:`StepContext` is plain data; a worker is sent it as it is.

    Attributes:
        step: Step id, ``gguf:gguf``.
        inputs: Artifacts that the spec consumes; for documents and uploads those they are about.
        release: What the run is about.
        work: Private scratch folder on the release's file system; removed after the step.
        produces: Kind that the step shall return.
        version: Distribution and version of the plugin.
        target: Uploads: what stands behind the scheme, after grouping. Documents of a place: that
            of the upload, None for the release folder.
        destination: Uploads, as target: what the user wrote, for messages.
        targets: Uploads: the targets of all steps of that destination, this one's among them.
        files: Uploads: the explicit list of what shall arrive. Documents of a place: what is there.
        loads: Uploads: names that programs look for at the destination, as patterns; what the
            makers of the kinds say (:attr:`~uploader_core.contract.specs.ConvertSpec.loads`), below
            the group's root. See :func:`~uploader_core.destinations.leftovers.find_leftovers`.
        measurements: Documents: what measured the artifacts, where that was asked for; see
            :attr:`~uploader_core.contract.specs.DocumentSpec.measures`.
        sources: Documents: folders of the sources by kind (``adapter``, ``base``, ``checkpoint``),
            for the facts in their small files; see :func:`~uploader_core.lineage.read_lineage`.
        materials: Documents: the sources that what they are about was made of, with the digests of
            their files.
        model_id: Documents: what people will type to load the artifact from where it is
            published; "" when it goes nowhere like that.
        cards: Documents: what cards say of an artifact, by kind; ``title`` is the summary of the
            spec that made it where the spec has none.
        variant: Which of the spec's variants the step makes; "" where it has none.
        state: Uploads: a folder that outlives the attempt, for what the next one goes on with,
            such as the names of sessions at the destination. It is removed when the upload is done.
    """

    step: str
    inputs: tuple[Artifact, ...]
    release: ReleaseInfo
    work: Path
    produces: str = ""
    version: str = ""
    target: str | None = None
    destination: str | None = None
    targets: tuple[str, ...] = ()
    files: tuple[UploadFile, ...] = ()
    loads: tuple[str, ...] = ()
    measurements: tuple[Artifact, ...] = ()
    sources: Mapping[str, Path] = field(default_factory=dict)
    materials: tuple[Artifact, ...] = ()
    model_id: str = ""
    cards: Mapping[str, CardFacts] = field(default_factory=dict)
    variant: str = ""
    state: Path | None = None
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class StepContext(StepData):
    """Given to ``run``. One per step; the step owns it.

    What else it has is described at :class:`StepData`.

    Attributes:
        settings: The spec's settings dataclass, or None.
        output: Where files go (save, convert, document). See
            :class:`~uploader_core.contract.output.OutputFolder`.
        sections: Documents: what the plugins had to say, in order.
        secrets: Uploads, documents: the variables that the spec named, where set. Nobody else sees
            them.
        log: Messages for the run's log.
        on_progress: Core's side of :meth:`progress`.
        on_cancelled: Whether the user stopped the run; :meth:`progress` asks it.
    """

    settings: Any
    output: OutputFolder
    sections: tuple[Section, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("uploader.step"))
    on_progress: Callable[[str, int, int | None, str], None] = lambda *_: None
    on_cancelled: Callable[[], bool] = lambda: False

    def input(self, kind: str) -> Artifact:
        """Return the input of that kind.

        Raises:
            PluginError: The spec does not consume it.
        """
        try:
            return find_artifact(self.inputs, kind)
        except KeyError:
            raise PluginError(
                f"step {self.step} asked for an input of kind {kind!r} that it does not consume",
                owner=self.version,
                next="add the kind to the spec's consumes",
            ) from None

    def progress(self, what: str, done: int, total: int | None, unit: str = "bytes") -> None:
        """Report progress.

        Args:
            what: Phase or file, short (``merging``, ``model-Q8_0.gguf``). What follows a colon may
                change without being another phase (``sending: model-Q8_0.gguf 43%``).
            done: Units finished so far.
            total: Units in all, or None when unknown.
            unit: ``bytes``, ``tensors``, ``files`` or ``steps``.

        Raises:
            CancelledError: The user stopped the run; let it pass through.
        """
        self.on_progress(what, done, total, unit)
        if self.on_cancelled():
            raise CancelledError(f"step {self.step} was stopped")

    def artifact(self, metadata: Mapping[str, Json] | None = None) -> Artifact:
        """Return the artifact made of every file written through ``output``."""
        return Artifact(
            kind=self.produces,
            path=self.output.path,
            files=self.output.files,
            metadata=dict(metadata or {}),
            producer=self.step,
            version=self.version,
        )

    def receipt(
        self,
        *,
        url: str,
        revision: str | None = None,
        private: bool | None = None,
        files: int,
        bytes_sent: int,
        metadata: Mapping[str, Json] | None = None,
    ) -> Receipt:
        """Return the proof of an upload; call it only after the destination was listed again."""
        return Receipt(
            destination=self.destination or "",
            url=url,
            revision=revision,
            private=private,
            files=files,
            bytes_sent=bytes_sent,
            metadata=dict(metadata or {}),
        )
