"""The steps of a plan: chained backward from the wanted kinds, then documents, then uploads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from uploader_core.contract.context import GroupContext, ReleaseInfo, UploadGroup
from uploader_core.contract.settings import check_files
from uploader_core.contract.sources import Sources
from uploader_core.contract.specs import (
    ConvertSpec,
    DocumentSpec,
    Finding,
    MakeSpec,
    StepSpec,
    UploadSpec,
)
from uploader_core.errors import (
    PluginBrokenError,
    PluginNotInstalledError,
    RefusedError,
    UploaderError,
    UsageError,
)
from uploader_core.planning.destinations import find_destination
from uploader_core.planning.participants import documenting
from uploader_core.planning.plan import PlannedStep
from uploader_core.planning.request import Request
from uploader_core.planning.sources import source_kinds
from uploader_core.planning.step_request import section_of
from uploader_core.plugins.entry_points import ARTIFACTS, DEFAULTS, call_light
from uploader_core.plugins.loading import are_names
from uploader_core.plugins.registry import Plugin, Registry
from uploader_core.user_config.configuration import Config
from uploader_core.user_config.targets import Target
from uploader_core.workers.messages import SectionRequest


@dataclass(slots=True)
class PlanBuilder:
    """State of one planning.

    Attributes:
        registry: Installed plugins.
        config: Where settings come from.
        sources: What the plan starts from.
        release: What every step is told about the whole.
        steps: So far, by id, each after those that it consumes.
        warnings: About the request as a whole.
        plugins: Those that take part, by id, in the order in which they were loaded.
    """

    registry: Registry
    config: Config
    sources: Sources
    release: ReleaseInfo
    steps: dict[str, PlannedStep] = field(default_factory=dict)
    warnings: list[Finding] = field(default_factory=list)
    plugins: dict[str, Plugin] = field(default_factory=dict)
    _requested: tuple[str, ...] = ()

    # -- formats -------------------------------------------------------------------------------

    def add_formats(self, names: tuple[str, ...]) -> None:
        """Add the formats that the user wants and, before each, everything that it consumes.

        Args:
            names: Plugin ids and kinds; of the default formats, those that fit where it is empty.
        """
        self._requested = names
        wanted: list[tuple[Plugin, MakeSpec]] = []
        if not names:
            for plugin_id in self.registry.enabled(DEFAULTS):
                wanted += self._default_specs(plugin_id)
        for name in names:
            if name in self.registry.ids():
                wanted += self._named_specs(name)
            else:
                wanted.append(self._producer(name, needed_by=None))
        if not wanted:
            raise UsageError(
                "no installed format fits this source",
                owner=f"source of kind {self.sources.kind}",
                next="pip install uploader-lora uploader-merged uploader-gguf",
            )
        for plugin, spec in wanted:
            for variant in self._variants(plugin, spec):
                self._add(plugin, spec, needed_by=None, variant=variant)

    def load(self, plugin_id: str) -> Plugin:
        plugin = self.registry.load(plugin_id)
        if plugin_id not in self.plugins:
            classes = [s.settings for s in plugin.specs if s.settings is not None]
            self.config.check_keys(plugin_id, classes)
            self.plugins[plugin_id] = plugin
        return plugin

    def _load_or_warn(self, plugin_id: str, otherwise: str) -> bool:
        """Load a plugin that nobody named; a broken one is left out, with a warning."""
        try:
            self.load(plugin_id)
        except PluginBrokenError as error:
            what = f"{otherwise}: {error.what} ({error.owner})"
            self.warnings.append(Finding(level="warning", what=what, next=error.next))
            return False
        return True

    def _default_specs(self, plugin_id: str) -> list[tuple[Plugin, MakeSpec]]:
        """Specs of a plugin that nobody named: what does not fit or is broken is left out."""
        if not self._load_or_warn(plugin_id, f"format {plugin_id} was left out"):
            return []
        plugin = self.plugins[plugin_id]
        return [(plugin, s) for s in _outputs(plugin) if s.default and self._reaches(s, ())]

    def _named_specs(self, plugin_id: str) -> list[tuple[Plugin, MakeSpec]]:
        plugin = self.load(plugin_id)
        offered = [spec for spec in _outputs(plugin) if spec.default]
        if not offered:
            raise UsageError(
                f"plugin {plugin_id} makes no artifact of its own",
                owner=plugin.entry.owner,
                next=f"use it as --to {plugin_id}:..."
                if plugin.of(UploadSpec)
                else "name a format, see: uploader plugins list",
            )
        fitting = [spec for spec in offered if self._reaches(spec, ())]
        # When nothing fits, adding the first one raises the error that says why.
        return [(plugin, spec) for spec in fitting or offered[:1]]

    def _reaches(self, spec: MakeSpec, seen: tuple[str, ...]) -> bool:
        """Return whether a spec can be chained to this source, a missing base counting as there."""
        for kind in spec.consumes:
            if kind in self.sources.artifacts or kind in self.sources.missing:
                continue
            if kind in seen:
                return False
            try:
                _, producer = self._producer(kind, needed_by=None)
            except UploaderError:
                return False
            if not self._reaches(producer, (*seen, kind)):
                return False
        return True

    def _producer(self, kind: str, needed_by: str | None) -> tuple[Plugin, MakeSpec]:
        """Find the one plugin that makes a kind, loading it when metadata says it can."""
        for plugin_id in self.registry.providers(ARTIFACTS, kind):
            if needed_by is None or plugin_id not in self.plugins:
                self.load(plugin_id)
        found = [
            (plugin, spec)
            for plugin in self.plugins.values()
            for spec in plugin.of(MakeSpec)
            if spec.produces == kind
        ]
        preferred = [(p, s) for p, s in found if p.id in self._requested] or found
        if len(preferred) > 1:
            # A plugin may make one kind from different sources; this source decides then.
            preferred = [(p, s) for p, s in preferred if self._reaches(s, (kind,))] or preferred
        if len(preferred) > 1:
            raise UsageError(
                f"{kind} can be made by {' and by '.join(p.id for p, _ in preferred)}",
                next=f"name the one you want: --plugins {preferred[0][0].id}",
            )
        if preferred:
            return preferred[0]
        if needed_by is None:
            raise self.registry.unknown(kind)
        raise PluginNotInstalledError(
            f"nothing installed makes {kind!r}, which {needed_by} needs",
            owner="installed formats: " + ", ".join(self.registry.names(ARTIFACTS)),
            next=f"pip install uploader-{kind.split('-')[0]}",
        )

    def _add(
        self,
        plugin: Plugin,
        spec: MakeSpec,
        needed_by: str | None,
        chain: tuple[str, ...] = (),
        variant: str = "",
    ) -> PlannedStep:
        """Add a step and, first, everything that it consumes.

        Args:
            plugin: Who makes it.
            spec: What.
            needed_by: Plugin that asks for it; None when the user does.
            chain: Step ids on the way here, to find circles.
            variant: Of a spec that has some.
        """
        step_id = f"{plugin.id}:{spec.name}" + (f"-{variant}" if variant else "")
        if step_id in self.steps:
            if needed_by is None:
                self.steps[step_id] = replace(self.steps[step_id], needed_by=None)
            return self.steps[step_id]
        if step_id in chain:
            raise PluginBrokenError(
                f"the formats depend on each other in a circle: {' -> '.join((*chain, step_id))}",
                owner=plugin.entry.owner,
            )
        inputs = tuple(self._input(kind, plugin.id, (*chain, step_id)) for kind in spec.consumes)
        virtual = isinstance(spec, ConvertSpec) and spec.virtual
        kind = spec.produces + (f"-{variant}" if variant else "")
        step = PlannedStep(
            id=step_id,
            plugin=plugin,
            spec=spec,
            inputs=inputs,
            settings=self._settings(plugin, spec),
            kind=kind,
            variant=variant,
            folder=None if virtual else kind,
            needed_by=needed_by,
        )
        self.steps[step_id] = step
        return step

    def _variants(self, plugin: Plugin, spec: MakeSpec) -> tuple[str, ...]:
        """Return the names of a spec's variants: none is one too, "" that of a spec without.

        Raises:
            PluginBrokenError: Something else than different names that can be part of a kind.
        """
        if spec.variants is None:
            return ("",)
        owner = plugin.entry.owner
        found = tuple(call_light(spec.variants, owner, self._settings(plugin, spec)) or ())
        if not are_names(found):
            raise PluginBrokenError(
                f"{spec.variants} gave {found!r}: variants are different names of lower-case "
                "letters, digits, dots and dashes",
                owner=owner,
                next=f"choose others by the options of {plugin.id}, or tell the plugin's author",
            )
        return found

    def _settings(self, plugin: Plugin, spec: StepSpec) -> object:
        settings = self.config.settings(plugin.id, spec.settings)
        check_files(plugin.id, settings)
        return settings

    def _input(self, kind: str, consumer: str, chain: tuple[str, ...]) -> str:
        if kind in self.sources.artifacts:
            return f"source:{kind}"
        if kind in self.sources.missing:
            error = self.sources.missing[kind]
            raise error.replace(owner=f"{error.owner or 'the source'}; needed by {consumer}")
        if kind in source_kinds(self.registry):
            raise RefusedError(
                f"{consumer} needs {kind}, and this source is of the kind {self.sources.kind}",
                next="leave it out of --plugins",
            )
        producer, spec = self._producer(kind, needed_by=consumer)
        if spec.variants is not None:
            raise RefusedError(
                f"{consumer} needs {kind}, which {producer.id} makes in several variants",
                owner=producer.entry.owner,
                next="leave it out of --plugins",
            )
        return self._add(producer, spec, needed_by=consumer, chain=chain).id

    def artifacts(self) -> list[PlannedStep]:
        """Return the steps whose artifacts the user asked for."""
        return [s for s in self.steps.values() if s.is_artifact and s.needed_by is None]

    # -- documents -----------------------------------------------------------------------------

    def add_documents(self, request: Request) -> None:
        """Add the documents about the artifacts, those that measure before all others."""
        for plugin_id in documenting(request, self.registry):
            self._load_or_warn(plugin_id, f"documents of {plugin_id} were left out")
        documents = [
            (plugin, spec)
            for plugin in self.plugins.values()
            for spec in plugin.of(DocumentSpec)
            if spec.output is not None and (request.measure or not spec.measures)
            if spec.scope != "place"
        ]
        for plugin, spec in sorted(documents, key=lambda item: not item[1].measures):
            self._add_document(plugin, spec)
        if request.measure and not any(step.measures for step in self.steps.values()):
            what = "--measure: no installed plugin measures one of these formats"
            self.warnings.append(
                Finding(level="warning", what=what, next="pip install uploader-gguf")
            )

    def _add_document(self, plugin: Plugin, spec: DocumentSpec) -> None:
        described = [s for s in self.artifacts() if _describes(spec, s)]
        if not described:
            return
        settings = self._settings(plugin, spec)
        if spec.when is not None and not call_light(spec.when, plugin.entry.owner, settings):
            return
        groups = [[s] for s in described] if spec.scope == "artifact" else [described]
        for group in groups:
            subject = group[0].kind if spec.scope == "artifact" else "release"
            step_id = f"{plugin.id}:{spec.name}@{subject}"
            subjects = tuple(s.id for s in group)
            measurements = tuple(
                s.id
                for s in self.steps.values()
                if s.measures and not spec.measures and s.subjects[0] in subjects
            )
            needed = [self._input(kind, plugin.id, (step_id,)) for kind in spec.consumes]
            self.steps[step_id] = PlannedStep(
                id=step_id,
                plugin=plugin,
                spec=spec,
                inputs=(*subjects, *needed, *measurements),
                subjects=subjects,
                measurements=measurements,
                settings=settings,
                kind="document",
                folder=group[0].folder if spec.scope == "artifact" else ".",
                sections=tuple(self._sections(group)),
            )

    def _sections(self, steps: Iterable[PlannedStep]) -> Iterator[SectionRequest]:
        found = [
            (plugin, spec)
            for plugin in self.plugins.values()
            for spec in plugin.of(DocumentSpec)
            if spec.section is not None
        ]
        found.sort(key=lambda item: (item[1].order, item[0].id, item[1].name))
        for step in steps:
            for plugin, spec in found:
                if _describes(spec, step):
                    yield section_of(plugin, spec, step.kind, self._settings(plugin, spec))

    # -- uploads -------------------------------------------------------------------------------

    def add_uploads(self, scheme: str, rest: str, target: Target) -> None:
        """Add the upload steps of one destination.

        Args:
            scheme: Of the destination.
            rest: What stands behind it.
            target: What holds for this destination alone.
        """
        plugin, spec = find_destination(scheme, rest, self.registry)
        self.load(plugin.id)
        makers = {
            s.kind: s.id
            for s in self.artifacts()
            if spec.accepts is None or {*s.kinds}.intersection(spec.accepts)
        }
        config = self.config.with_table(plugin.id, target.settings)
        config.check_keys(plugin.id, [] if spec.settings is None else [spec.settings])
        settings = config.settings(plugin.id, spec.settings)
        kinds = tuple(makers)
        groups: tuple[UploadGroup, ...] = (UploadGroup(target=rest, kinds=kinds),)
        if spec.group is not None:
            asked = GroupContext(target=rest, kinds=kinds, settings=settings, release=self.release)
            groups = tuple(call_light(spec.group, plugin.entry.owner, asked))
        documents = [s for s in self.steps.values() if isinstance(s.spec, DocumentSpec)]
        for group in groups:
            about = {makers[kind] for kind in group.kinds}
            described = [
                d.id
                for d in documents
                if (d.folder == "." and group.documents and not group.flatten)
                or (d.folder != "." and set(d.subjects) <= about)
            ]
            step_id = f"{plugin.id}:{spec.name}@{group.target}"
            self.steps[step_id] = PlannedStep(
                id=step_id,
                plugin=plugin,
                spec=spec,
                inputs=(*(makers[kind] for kind in group.kinds), *described),
                settings=settings,
                kind="upload",
                target=group.target,
                destination=f"{scheme}:{rest}",
                flatten=group.flatten,
                model_id=group.model_id,
                secrets=target.names_of(spec.secrets),
            )


def _outputs(plugin: Plugin) -> list[MakeSpec]:
    return [s for s in plugin.of(MakeSpec) if not (isinstance(s, ConvertSpec) and s.virtual)]


def _describes(spec: DocumentSpec, step: PlannedStep) -> bool:
    return spec.describes is None or bool({*step.kinds}.intersection(spec.describes))
