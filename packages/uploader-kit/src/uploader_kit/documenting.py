"""What holds for a step that writes a document, or a section for somebody else's document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from uploader_core.artifact import Artifact, Json, UploadFile
from uploader_core.contract.specs import DocumentSpec
from uploader_core.disk.safe_write import hash_file, write_json
from uploader_core.manifest_file import NAME, SCHEMA
from uploader_core.planning.step_request import section_of
from uploader_core.plugins.entry_points import import_dotted
from uploader_core.plugins.registry import Plugin
from uploader_core.workers.messages import SectionRequest, Warned
from uploader_kit.announcing import not_tried
from uploader_kit.conditions import Conditions
from uploader_kit.conformance import StepConformance, expect
from uploader_kit.differences import cause, difference
from uploader_kit.files import files_below
from uploader_kit.inputs import make_input
from uploader_kit.telltale import find_names, names_of_this_machine
from uploader_kit.trial import Trial, resolve_settings
from uploader_kit.watched import Result

_HOST, _DOCUMENT = "dir", "readme"
"""Core's own plugin, whose README includes every section."""


class DocumentConformance(StepConformance):
    """Checks of one document or section: set ``plugin``, and ``spec`` when it has several.

    Attributes:
        kinds: Artifact kinds to describe; those of the spec when empty, ``lora`` when it describes
            all.
        limit: Seconds that it may take.
    """

    spec_type = DocumentSpec
    kinds: ClassVar[tuple[str, ...]] = ()
    limit: ClassVar[float] = 300.0

    _trial: ClassVar[Trial | None] = None
    _result: ClassVar[Result | None] = None

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        cls._trial = cls._result = None

    def artifacts(self, folder: Path) -> tuple[Artifact, ...]:
        """Return the artifacts to describe; override for kinds that no installed plugin makes.

        Args:
            folder: Where to put them.
        """
        spec = self.the_spec()
        kinds = self.kinds or spec.describes or ("adapter",)
        if spec.consumes:
            kinds = (kinds[0], *spec.consumes)  # it is about one artifact, and gets what it needs
        return tuple(make_input(kind, folder, self.registry(), self.plugin) for kind in kinds)

    # -- checks --------------------------------------------------------------------------------

    def test_document_is_written(self) -> None:
        """Rendered in a worker, there is text, in UTF-8."""
        result = self._reference()
        warnings = [e.what for e in result.events if isinstance(e, Warned)]
        expect(not warnings, "; ".join(warnings))
        texts = self._texts(result)
        expect(all(text.strip() for text in texts.values()), "the document is empty")
        heading = self.the_spec().section
        if heading is not None:
            expect(heading in texts["README.md"], f"no section {heading!r}: run returned no text")

    def test_document_tells_nothing_about_this_machine(self) -> None:
        """No path, user or host of the machine that wrote it is published."""
        contents = {name: t.encode() for name, t in self._texts(self._reference()).items()}
        found = find_names(contents, names_of_this_machine(Path(self._folder.name)))
        expect(not found, "whoever reads the document reads it: " + "; ".join(found))

    def test_document_is_the_same_the_second_time(self) -> None:
        """At another time and place the text is the same; what is measured may differ."""
        first = self._texts(self._reference())
        other = Conditions(seed=2, later=True, elsewhere=True)
        result = self._the_trial().at(self.root("again")).run(conditions=other)
        again = self._texts(result)
        if self.the_spec().measures:
            expect(again.keys() == first.keys(), "the second time other files were written")
            return
        where = difference(self._reference().artifact, result.artifact)
        if where is not None:
            why = cause(self._under, self._reference().artifact)
            expect(False, f"the second time the text was another: {where}. Cause: {why}")

    def test_document_of_an_unknown_artifact_does_not_fail(self) -> None:
        """Metadata of an artifact is its producer's business; a document copes without."""
        trial = self._the_trial()
        needed = self.the_spec().consumes
        bare = tuple(
            a if a.kind in needed else replace(a, metadata={}, producer="x:x") for a in trial.inputs
        )
        result = replace(trial, root=self.root("bare"), inputs=bare).run()
        warnings = [e.what for e in result.events if isinstance(e, Warned)]
        expect(not warnings and result.error is None, f"{'; '.join(warnings) or result.error}")

    def test_nothing_is_written_elsewhere_and_no_network_is_used(self) -> None:
        """A document is written through ``context.output``, from what it is given."""
        found = self._reference().violations
        expect(not found, "; ".join(found))

    # -- inside --------------------------------------------------------------------------------

    def _under(self, conditions: Conditions) -> Artifact:
        """Write it anew under some conditions."""
        place = self.root(f"{conditions.seed}-{conditions.later}-{conditions.elsewhere}")
        return self._the_trial().at(place).run(conditions=conditions).artifact

    def _the_trial(self) -> Trial:
        cls = type(self)
        if cls._trial is None:
            spec: DocumentSpec = self.the_spec()
            plugin: Plugin = self.load()
            inputs = self.artifacts(self.root("inputs"))
            settings = resolve_settings(plugin, spec, self.settings)
            if spec.when is not None and not import_dotted(spec.when, self.plugin)(settings):
                not_tried("these settings leave it out: a test class of yours gives it others")
            of_place = spec.scope == "place"
            sections: tuple[SectionRequest, ...] = ()
            if spec.section is not None:
                kinds = [a.kind for a in inputs]
                sections = tuple(section_of(plugin, spec, kind, settings) for kind in kinds)
                plugin = self.registry().load(_HOST)
                (spec,) = (s for s in plugin.of(DocumentSpec) if s.name == _DOCUMENT)
                settings = None
            cls._trial = Trial(
                plugin=plugin,
                spec=spec,
                root=self.root("reference"),
                inputs=inputs,
                settings=settings,
                sections=sections,
                # A place that an upload brings files to; of a release folder it would be a part.
                target="a-place" if of_place else None,
                files=_files_of(inputs, self.root("place")) if of_place else (),
                limit=self.limit,
            )
        return cls._trial

    def _reference(self) -> Result:
        cls = type(self)
        if cls._result is None:
            cls._result = self._the_trial().run()
        return cls._result

    def _texts(self, result: Result) -> dict[str, str]:
        artifact = result.artifact
        listed = {file.name for file in artifact.files}
        found = {*files_below(artifact.path)}
        expect(found == listed, f"in the folder {sorted(found)}, recorded {sorted(listed)}")
        return {
            name: (artifact.path / name).read_text("utf-8", errors="replace")
            for name in sorted(listed)
        }


def _files_of(inputs: Iterable[Artifact], folder: Path) -> tuple[UploadFile, ...]:
    """Return what is at a place: the files of artifacts, each in a folder, and a manifest."""
    found = [
        UploadFile(
            name=f"{artifact.kind}/{file.name}",
            path=artifact.path / file.name,
            size=file.size,
            sha256=hash_file(artifact.path / file.name)[1],
            role=file.role,
            kind=artifact.kind,
        )
        for artifact in inputs
        for file in artifact.files
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    listed: list[Json] = [
        {"path": f.name, "size": f.size, "sha256": f.sha256, "role": f.role, "kind": f.kind}
        for f in found
    ]
    digest = write_json(path, {"schema": SCHEMA, "files": listed, "loads": []})
    size = path.stat().st_size
    manifest = UploadFile(
        name=NAME, path=path, size=size, sha256=digest, role="document", kind="document"
    )
    return (*found, manifest)
