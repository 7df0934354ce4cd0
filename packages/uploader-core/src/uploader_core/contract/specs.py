"""What plugins register: frozen descriptions of steps that core plans and runs.

A new field always has a default, so a plugin built against an older core keeps working.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from uploader_core.capability import Capability
from uploader_core.contract.costs import Resources
from uploader_core.untrusted_json import JsonData

API_VERSION = 1
"""Version of this contract. A plugin may state ``uploader_api = 1``; absent means 1."""

SUPPORTED_API = range(1, 2)
"""The versions that this core can run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding(JsonData):
    """One result of a preflight check.

    Attributes:
        level: ``error`` refuses the run, ``warning`` and ``note`` are shown in the plan.
        what: One sentence.
        next: What to type or to change, ready to be copied.
    """

    level: Literal["error", "warning", "note"]
    what: str
    next: str | None = None


LEVELS = ("ok", "warn", "fail")
"""Of a :class:`Diagnosis`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """One line of ``uploader doctor``.

    Attributes:
        name: What was looked at, one or two words.
        level: ``ok``, ``warn`` where something works less well, ``fail`` where it does not work.
        what: What was found, one sentence.
        fix: What to type or to change.
    """

    name: str
    level: Literal["ok", "warn", "fail"]
    what: str
    fix: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """What to try next after an error, offered by a plugin.

    Attributes:
        code: Names the hint; the first of a code wins.
        text: One sentence or a command.
    """

    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """What all specs have in common.

    Attributes:
        name: Unique within the plugin; lower-case letters, digits, dots and dashes.
        summary: One line for listings.
        run: ``package.module:function``. It takes a
            :class:`~uploader_core.contract.context.StepContext`. A string, so that the plugin
            module stays light.
        settings: A frozen dataclass whose fields were made with
            :func:`~uploader_core.contract.settings.setting`; None for a step without options.
        check: ``package.module:function`` taking a
            :class:`~uploader_core.contract.context.PlanContext`, yielding :class:`Finding`. It must
            be light: it runs in core's process (that of an uploader, or of a document with secrets,
            in a worker that has them).
        prove: ``package.module:function`` like ``check``, for what takes seconds or imports heavy
            libraries. It runs in a worker beside whatever else is done and is through before the
            first step begins, so it can refuse a run as well. Specs that name the same function
            and consume the same artifacts share one call, so its context has no settings.
        estimate: ``package.module:function`` taking a ``PlanContext``, returning
            :class:`Estimate`. Light as well, and it reads headers only.
        needs: Requirement strings (``bitsandbytes>=0.45``) that are checked in metadata before
            anything runs.
        isolation: ``process`` for a worker process of its own; ``inline`` for work that is light
            and pure Python.
        resources: What the step occupies.
    """

    name: str
    summary: str
    run: str
    settings: type | None = None
    check: str | None = None
    prove: str | None = None
    estimate: str | None = None
    needs: tuple[str, ...] = ()
    isolation: Literal["process", "inline"] = "process"
    resources: Resources = field(default_factory=Resources)


RELATIONS = ("", "adapter", "finetune", "merge", "quantized")
"""What a kind can be to the base model, as the Hub calls it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """What model cards say of a kind.

    Attributes:
        title: What people call it (``MLX``), without its variant, which is put behind it; "" for
            the spec's summary.
        library_name: Library that loads it, as the Hub names it (``mlx``).
        relation: What it is to the base model, one of :data:`RELATIONS`; "" where that is not said.
            A card shows it where the base has a public name.
        pipeline_tag: Task, as the Hub names it, where it is not that of the base model.
        tags: More of the Hub's tags.
    """

    title: str = ""
    library_name: str = ""
    relation: Literal["", "adapter", "finetune", "merge", "quantized"] = ""
    pipeline_tag: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MakeSpec(Spec):
    """What savers and converters have in common.

    Attributes:
        consumes: Kinds, all of which are needed.
        produces: Artifact kind; its files land in ``<release>/<kind>/``.
        default: Part of a request that names only the plugin's id.
        use: ``package.module:function`` (light) taking a
            :class:`~uploader_core.contract.context.UseContext`, returning pairs of a program's name
            and the command that runs the artifact with it. Shown when a run has ended.
        loads: Names of the files that programs look for in a folder of this kind, as shell
            patterns below the folder (``*.safetensors``, ``additional_templates/*.jinja``; a star
            does not cross a slash). A file of such a name that no release lists could be taken in
            place of one that is listed, so a destination refuses it, and ``uploader verify`` names
            it. Nothing is looked for where this is empty.
        card: What model cards say of it.
        variants: ``package.module:function`` (light) taking the settings, returning names (lower
            case, digits, dots, dashes): the kind is made once for each, ``acme.mlx`` as
            ``acme.mlx-q4`` and ``acme.mlx-q8``, each with a folder, a record and a card of its
            own. Everything that is about ``acme.mlx`` is about all of them; ``context.variant``
            says which one a step makes.
        together: One call of ``run`` makes everything that this plugin makes by the same ``run``
            from the same inputs: variants, and the kinds of other specs. It takes a tuple of
            contexts and returns as many artifacts in that order. What is there already is not
            among them.
    """

    consumes: tuple[str, ...]
    produces: str
    default: bool = True
    use: str | None = None
    loads: tuple[str, ...] = ()
    card: CardFacts | None = None
    variants: str | None = None
    together: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveSpec(MakeSpec):
    """Turn a source into a release artifact.

    What it has is described at :class:`MakeSpec`; it consumes kinds of sources (``("adapter",)``).
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertSpec(MakeSpec):
    """Turn artifacts into an artifact of another kind.

    What else it has is described at :class:`MakeSpec`.

    Attributes:
        virtual: The artifact is a record that says how to open something; it has no files and no
            folder in the release (the lazily merged ``checkpoint``).
    """

    virtual: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentSpec(Spec):
    """Render a document, or a section for somebody else's document.

    Exactly one of ``output`` and ``section`` is set.

    Attributes:
        output: File name of a document. With ``scope="artifact"`` it is written once per artifact
            into the artifact's folder and travels with it; with ``scope="release"`` once into the
            release folder. With ``scope="place"`` it is written once for the release folder and
            once for each upload, about everything that is there (``context.files``, the manifest
            and all other documents among them), and arrives with it: a signature, checksums. The
            manifest names it without a digest. ``run`` writes it through ``context.output``.
        section: Heading of a section; ``run`` returns its Markdown text (str) without the heading,
            or "" for nothing to say. Documents get sections through ``context.sections``.
        scope: See ``output``.
        describes: Artifact kinds that this is about; None for all.
        order: Sections are sorted by (order, plugin id, name), and so are documents of a place:
            each is about those before it as well.
        consumes: Kinds that ``run`` needs besides the artifact it is about (``("checkpoint",)``).
        measures: ``run`` measures the artifact, and what it returns is handed to every other
            document and section about it as ``context.measurements``. Part of a request only with
            ``--measure``. Such a document is made for single artifacts.
        when: ``package.module:function`` (light) taking the settings, returning whether the
            document is a part of the request. None: always.
        secrets: Names of environment variables that only this document's steps receive, in workers
            that may use the network. One of a place is made again when a value changed that cannot
            be guessed (40 characters or more): of a password nothing is written, not even a digest.
        passing_secrets: The secrets are of one job alone, such as its identity: another value is no
            reason to make the document again.
    """

    output: str | None = None
    section: str | None = None
    scope: Literal["artifact", "release", "place"] = "artifact"
    describes: tuple[str, ...] | None = None
    order: int = 50
    consumes: tuple[str, ...] = ()
    measures: bool = False
    when: str | None = None
    secrets: tuple[str, ...] = ()
    passing_secrets: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadSpec(Spec):
    """A destination.

    Attributes:
        scheme: What stands before the colon of ``--to scheme:rest``.
        targets: Regular expression, matched in full against what stands behind the colon: the
            targets that it takes, before a destination of the scheme that takes all. None: all.
        accepts: Artifact kinds that it can take; None for all.
        group: ``package.module:function`` (light) taking a
            :class:`~uploader_core.contract.context.GroupContext`, returning a tuple of
            :class:`~uploader_core.contract.context.UploadGroup`: which kinds travel together in one
            step and to which target. None: everything in one step to the target as written.
        verify: ``package.module:function`` taking a
            :class:`~uploader_core.contract.context.VerifyContext`, returning a
            :class:`~uploader_core.destinations.verification.Verification`: compares what is at the
            destination with the manifest there, for ``uploader verify scheme:rest``.
            None: it cannot be verified from afar.
        still_there: ``package.module:function`` taking a
            :class:`~uploader_core.contract.context.ArrivalContext`, returning whether what an
            earlier run brought to the destination is what it has now. It costs a request or two
            and reads no contents. An upload of which that is not so is run again. None: an upload
            whose files, settings and target did not change is never run again.
        clean_up: ``package.module:function`` taking a
            :class:`~uploader_core.contract.context.CleanUpContext`, for what must not stay open at
            the destination after an upload that was cancelled, failed, or was killed (then the next
            run in the same release folder calls it). It runs in a worker with the secrets, and
            returns False where it kept something for a next attempt: the next run calls it again,
            as it does when it raises.
        release_name: ``package.module:function`` (light) taking what stands behind the scheme,
            returning the part of it that is the name of a model, or "" for none. None: its last
            part, without what follows a colon, ``@``, ``?`` or ``#``.
        capabilities: What it can do: a :class:`~uploader_core.capability.Capability`, or a word for
            one that is full: ``private``, ``atomic``, ``resume``, ``revision``, or others. The
            plan warns of what it says it cannot, and the conformance kit tries what it says it can.
        secrets: Names of environment variables that only this plugin's upload steps receive.
    """

    scheme: str
    targets: str | None = None
    accepts: tuple[str, ...] | None = None
    group: str | None = None
    verify: str | None = None
    still_there: str | None = None
    clean_up: str | None = None
    release_name: str | None = None
    capabilities: tuple[str | Capability, ...] = ()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceSpec(Spec):
    """Where sources can come from besides a local folder.

    ``run`` takes a :class:`~uploader_core.contract.context.SourceContext` and returns the local
    folder (``pathlib.Path``) that now holds what is needed.

    Attributes:
        matches: Regular expression, matched in full against what the user typed. The text behind
            ``SOURCE`` or ``--base`` is tried as a local path first. Core adds ``@revision`` to the
            name of a base model whose revision an adapter names.
        secrets: As in :class:`UploadSpec`.
        identify: ``package.module:function`` (light) taking the :class:`~pathlib.Path` of a folder
            of this machine, returning a :class:`~uploader_core.contract.context.FetchedSource` with
            the commit that it is an unchanged copy of (``model_id`` is "" where only that is
            known), or None. Core compares it with the revision that an adapter names.
    """

    matches: str
    secrets: tuple[str, ...] = ()
    identify: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReaderSpec(Spec):
    """Reads sources of some kind: knows such a folder, and says what it has for a plan.

    ``run`` (light) takes a :class:`~uploader_core.contract.sources.ReaderContext` and returns
    :class:`~uploader_core.contract.sources.Sources`, or None for what it does not know. It runs in
    core's process while planning. For a folder of its kind that nothing can be made from it raises
    a :class:`~uploader_core.errors.SourceError` that says what to do.

    Attributes:
        kinds: Kinds that no step makes and only a source can be, for the refusal of a format that
            needs another.
        adapters: Whether it reads the sources of ``--adapter`` as well; others are not asked then.
        fallback: Asked only where no other reader knows the source. Core's own is one.
    """

    kinds: tuple[str, ...] = ()
    adapters: bool = False
    fallback: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorSpec(Spec):
    """Runs steps on other machines, for ``--executor``.

    ``run`` (light) takes an :class:`~uploader_core.executor.ExecutorContext` and returns an
    :class:`~uploader_core.executor.Executor`. It runs in the process of the run.

    Attributes:
        survives: Whether jobs go on when the run that submitted them is gone.
        remote: Whether jobs may run on other machines.
    """

    survives: bool = True
    remote: bool = True


StepSpec = MakeSpec | DocumentSpec | UploadSpec
"""Specs that become steps of a plan."""
