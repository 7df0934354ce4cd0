"""What a check, an estimate, an uploader's grouping and the like are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploader_core.artifact import Artifact, Receipt
from uploader_core.untrusted_json import JsonData


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseInfo(JsonData):
    """What the whole run is about; the same for every step of it.

    Attributes:
        name: Name of the released model, without owner (``my-model``).
        source: Kind of the source, ``adapter`` or ``checkpoint``.
        base_model: Base model as the adapter names it; a Hub id when ``base_is_hub_id``. None for
            a full model without a known base.
        base_is_hub_id: False for a local path, which must never be published.
        base_revision: Commit of the base, when it is known.
        base_pinned: Whether the adapter or the user named that revision. Who loads the base by its
            name has to ask for it then.
        command: The command line with the form that repeats the run, without secrets.
        leave_behind: Names of files of the source that the user said shall not be missed, though
            they look like a part of the model.
    """

    name: str
    source: str
    base_model: str | None = None
    base_is_hub_id: bool = False
    base_revision: str | None = None
    base_pinned: bool = False
    command: str = ""
    leave_behind: tuple[str, ...] = ()

    @property
    def without(self) -> str:
        """A sentence for cards on what the user left behind; "" when nothing."""
        files = ", ".join(f"`{name}`" for name in self.leave_behind)
        return f"Left behind on purpose, from the folder of the training: {files}." if files else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanContext:
    """Given to ``check`` and ``estimate``. Read headers and small JSON only; write nothing.

    Attributes:
        inputs: Artifacts that exist already, and for those still to be made a stand-in of the
            right kind without files. A virtual artifact (``checkpoint``) carries its metadata, so
            it can be opened.
        settings: The spec's settings, or None.
        release: What the run is about.
        output: Folder that the step would write (it may not exist).
        target: For uploads, what stands behind the scheme.
        sizes: Estimated bytes by artifact kind, also of what is still to be made.
        names: Names and sizes of single files by artifact kind, where estimates tell them.
        variant: Which of the spec's variants the step makes; "" where it has none.
        sources: Folders of the sources by kind (``adapter``, ``base``, ``checkpoint``).
        files: Uploads: names that the release will have at the destination, as far as estimates
            tell them; documents are not among them.
        loads: Uploads: as :attr:`StepContext.loads`, of the kinds whose single files are known.
        secrets: Uploads, documents: the variables that the spec named, where set.
        uploads: Where the release goes, as the user wrote it, each with the upload's settings.
    """

    inputs: tuple[Artifact, ...]
    settings: Any
    release: ReleaseInfo
    output: Path
    target: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    variant: str = ""
    sources: Mapping[str, Path] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    uploads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Estimated bytes of the inputs, for an upload those that it brings."""
        return sum(self.sizes.get(artifact.kind, 0) for artifact in self.inputs)

    def input(self, kind: str) -> Artifact:
        """Return the input of that kind; KeyError when there is none."""
        return find_artifact(self.inputs, kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class UseContext:
    """Given to a spec's ``use``: a finished artifact, and where it can be found.

    Attributes:
        artifact: With its files; ``path`` is where they lie on this machine.
        release: What the run was about.
        published: What stands behind the scheme, by scheme, for each destination where the artifact
            is alone (``{"hf": "me/my-model-GGUF"}``).
    """

    artifact: Artifact
    release: ReleaseInfo
    published: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupContext:
    """Given to an uploader's ``group``.

    Attributes:
        target: What the user wrote behind ``scheme:``.
        kinds: Artifact kinds that shall go there, in the order of the plan.
        settings: The uploader's settings.
        release: What the run is about.
    """

    target: str
    kinds: tuple[str, ...]
    settings: Any
    release: ReleaseInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadGroup:
    """One upload step: these kinds, to this target.

    Attributes:
        target: What the step gets as ``context.target`` (``me/my-model-GGUF``).
        kinds: Artifact kinds in it.
        flatten: True puts an artifact's files at the root of the target (one repo per kind);
            False below ``<kind>/``. True needs exactly one kind.
        documents: Also take the documents of the whole release (root README and manifest).
        model_id: What people type to load it from there (``me/my-model``); "" where nothing can.
    """

    target: str
    kinds: tuple[str, ...]
    flatten: bool = False
    documents: bool = True
    model_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceContext:
    """Given to a source plugin's ``run``.

    Attributes:
        reference: What the user typed (``user/model@revision``).
        purpose: ``source``, ``base``, or ``release``: the manifest of a release and other small
            files, of all of the place and not of the one model in it.
        offline: True when nothing may be asked over the network.
        outline: An empty folder where a plan is enough: large weights need not be brought then; a
            file of their length with only their headers in it, in this folder, will do. None:
            everything is needed.
        secrets: The variables that the spec named, where set.
    """

    reference: str
    purpose: str
    offline: bool = False
    outline: Path | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyContext:
    """Given to an uploader's ``verify``. Nothing may be changed, here or there.

    Attributes:
        target: What the user wrote behind ``scheme:``.
        full: Compare contents; False looks at names and sizes only.
        settings: The uploader's settings.
        secrets: The variables that the spec named, where set.
    """

    target: str
    full: bool = True
    settings: Any = None
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrivalContext:
    """Given to an uploader's ``still_there``. Nothing may be changed, here or there.

    Attributes:
        target: Of the step, as in :class:`StepContext`.
        receipt: What the upload returned then.
        settings: The uploader's settings.
        secrets: The variables that the spec named, where set.
    """

    target: str
    receipt: Receipt
    settings: Any = None
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleanUpContext:
    """Given to an uploader's ``clean_up``.

    Attributes:
        target: Of the step, as in :class:`StepContext`.
        why: How the upload ended: ``cancelled``, ``failed``, or ``killed``, which the next run
            finds out.
        again: Whether this very run uploads there once more, after ``killed``, and could go on with
            what is kept.
        state: As :attr:`StepContext.state`.
        settings: The uploader's settings.
        secrets: The variables that the spec named, where set.
    """

    target: str
    why: str
    state: Path
    again: bool = False
    settings: Any = None
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class FetchedSource:
    """What a source plugin returns.

    Attributes:
        path: Local folder with the files.
        model_id: Public name (``user/model``), without revision.
        revision: Commit that it was pinned to.
        outline: Whether ``path`` is only the outline that was asked for.
        download: Bytes that would still have to be brought, when it is only outlined.
        cache: Folder that they would be brought into.
        cache_option: How to choose another place for them (``HF_HOME=/big/disk``), for the advice
            when they do not fit.
        unfetched: Names of other files next to the model that were not fetched. Formats check if
            one of them looks like a part of it.
    """

    path: Path
    model_id: str
    revision: str | None = None
    outline: bool = False
    download: int = 0
    cache: Path | None = None
    cache_option: str = ""
    unfetched: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A rendered section that a document may include.

    Attributes:
        heading: Without Markdown's signs.
        text: Markdown. Links to the artifact's files are relative to the artifact's folder.
        plugin: Who wrote it.
        kind: Artifact kind that it is about.
    """

    heading: str
    text: str
    plugin: str
    kind: str = ""


def find_artifact(inputs: tuple[Artifact, ...], kind: str) -> Artifact:
    """Return the first artifact of a kind; KeyError when there is none."""
    return {artifact.kind: artifact for artifact in reversed(inputs)}[kind]
