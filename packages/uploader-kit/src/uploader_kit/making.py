"""What holds for a step that makes files: savers and converters."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from uploader_core.artifact import Artifact
from uploader_core.contract.context import PlanContext
from uploader_core.contract.specs import ConvertSpec, Estimate, Finding, SaveSpec
from uploader_core.errors import CancelledError
from uploader_core.plugins.entry_points import import_dotted
from uploader_kit.conformance import StepConformance, expect
from uploader_kit.inputs import make_input
from uploader_kit.trial import (
    RELEASE,
    Result,
    Trial,
    files_below,
    resolve_settings,
    unchanged,
)


class MakingConformance(StepConformance):
    """Checks of one saver or converter; inherit :class:`SaveConformance` or ``Convert...``.

    Attributes:
        damage: Refusing an input that was cut in half is part of the contract; the name of the file
            to cut, or "" for the largest weights of the first input.
    """

    damage: ClassVar[str] = ""

    _trial: ClassVar[Trial | None] = None
    _result: ClassVar[Result | None] = None
    _changed: ClassVar[list[str]] = []

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        cls._trial = cls._result = None

    def inputs(self, folder: Path) -> tuple[Artifact, ...]:
        """Return an artifact of every kind that the spec consumes; override for kinds of your own.

        Args:
            folder: Where to put them.
        """
        return tuple(
            make_input(kind, folder, self.registry(), self.plugin)
            for kind in self.the_spec().consumes
        )

    # -- checks --------------------------------------------------------------------------------

    def test_step_runs_in_a_worker(self) -> None:
        """On a tiny real input, in a process of its own, the step returns the promised kind."""
        artifact = self._reference().artifact
        expect(artifact.kind == self.the_spec().produces, f"the step returned {artifact.kind}")
        if not self._virtual:
            expect(artifact.files, "the step wrote no file through context.output")

    def test_manifest_matches_files(self) -> None:
        """What the artifact lists is what lies in its folder, byte for byte and nothing else."""
        self._need_files()
        listed = {f.name: (f.size, f.sha256) for f in self._reference().artifact.files}
        found = {n: (f.size, f.sha256) for n, f in files_below(self._the_trial().output).items()}
        surplus = sorted(found.keys() - listed.keys())
        expect(not surplus, f"written without context.output: {', '.join(surplus)}")
        wrong = sorted(name for name in listed if listed[name] != found.get(name))
        expect(not wrong, f"not what the artifact says of them: {', '.join(wrong)}")

    def test_nothing_is_written_elsewhere(self) -> None:
        """The step writes into its output and its work folder only, and leaves its inputs alone."""
        found = [v for v in self._reference().violations if not v.startswith("socket")]
        expect(not found, "written outside context.output and context.work: " + "; ".join(found))
        expect(not self._changed, f"the step changed its input: {', '.join(self._changed)}")
        left = sorted(files_below(self._the_trial().root / "work"))
        partial = [name for name in left if name.endswith(".partial")]
        expect(not partial, f"partial files were left behind: {', '.join(partial)}")

    def test_no_network_is_used(self) -> None:
        """Saving and converting work on a machine without a network."""
        found = [v for v in self._reference().violations if v.startswith("socket")]
        expect(not found, "the step asked the network: " + "; ".join(found))

    def test_killed_and_run_again_it_gives_the_same_bytes(self) -> None:
        """A kill leaves nothing half-written under a final name, and the next run completes it."""
        self._need_files()
        wanted = {f.name: f.sha256 for f in self._reference().artifact.files}
        trial = self._the_trial().at(self.root("killed"))
        trial.run(kill=60)
        left = files_below(trial.output)
        torn = sorted(n for n, f in left.items() if wanted.get(n, f.sha256) != f.sha256)
        expect(not torn, f"a killed step left these half-written: {', '.join(torn)}")
        again = {f.name: f.sha256 for f in trial.run().artifact.files}
        differ = sorted(n for n in wanted.keys() | again.keys() if wanted.get(n) != again.get(n))
        expect(not differ, f"the same input gave other bytes the second time: {', '.join(differ)}; "
               "leave out times, host names, paths and unordered sets")  # fmt: skip

    def test_cancelled_step_says_so(self) -> None:
        """An inline step that reports progress stops when it is told to, and keeps nothing torn."""
        if self.the_spec().isolation != "inline":
            pytest.skip("a worker is killed when the user stops the run")
        trial = self._the_trial().at(self.root("cancelled"))
        error = trial.run_cancelled().error
        expect(error is None or isinstance(error, CancelledError),
               f"a stopped step raised {error!r}: let CancelledError pass through")  # fmt: skip

    def test_failure_names_the_plugin(self) -> None:
        """Input that was cut in half is refused, with where the error comes from and what to do."""
        trial = self._the_trial()
        damaged, name = self._damaged(trial)
        result = damaged.run()
        error = result.error
        if error is None:
            expect(self._virtual, f"{name} was cut in half and the step did not mind")
            return
        expect(error.owner, f"{error.what!r} does not say where it comes from")
        expect(error.next, f"{error.what!r} does not say what to do next")
        expect(not files_below(damaged.output) or not _weights(damaged.output),
               "a failed step left weights under a final name")  # fmt: skip

    def test_check_and_estimate_answer(self) -> None:
        """Check and proof do not refuse the tiny input, and an exact estimate is exact."""
        spec, trial = self.the_spec(), self._the_trial()
        context = PlanContext(
            inputs=trial.inputs,
            settings=trial.settings,
            release=RELEASE,
            output=trial.output,
        )
        owner = self.load().entry.owner
        for dotted, given in ((spec.check, context), (spec.prove, replace(context, settings=None))):
            if dotted is None:
                continue
            found = list(import_dotted(dotted, owner)(given) or ())
            expect(all(isinstance(f, Finding) for f in found), f"{dotted} must yield Findings")
            refused = [f.what for f in found if f.level == "error"]
            expect(not refused, f"{dotted} refuses the tiny input: {'; '.join(refused)}")
        if spec.estimate is not None:
            estimate = import_dotted(spec.estimate, owner)(context)
            expect(isinstance(estimate, Estimate), f"{spec.estimate} must return an Estimate")
            written = self._reference().artifact.size
            if estimate.exact:
                expect(estimate.bytes_written == written, f"{spec.estimate} said exactly "
                       f"{estimate.bytes_written:,} bytes, the step wrote {written:,}")  # fmt: skip

    # -- inside --------------------------------------------------------------------------------

    @property
    def _virtual(self) -> bool:
        spec = self.the_spec()
        return isinstance(spec, ConvertSpec) and spec.virtual

    def _need_files(self) -> None:
        if self._virtual:
            pytest.skip("a virtual step makes no files")

    def _the_trial(self) -> Trial:
        cls = type(self)
        if cls._trial is None:
            spec = self.the_spec()
            cls._trial = Trial(
                plugin=self.load(),
                spec=spec,
                root=self.root("reference"),
                inputs=self.inputs(self.root("inputs")),
                settings=resolve_settings(self.load(), spec, self.settings),
            )
        return cls._trial

    def _reference(self) -> Result:
        """Run the step once, undisturbed, for all checks of the class."""
        cls = type(self)
        if cls._result is None:
            trial = self._the_trial()
            with unchanged([artifact.path for artifact in trial.inputs]) as cls._changed:
                cls._result = trial.run()
        return cls._result

    def _damaged(self, trial: Trial) -> tuple[Trial, str]:
        """Cut a file of a copy of the inputs in half."""
        root = self.root("damaged")
        inputs: list[Any] = []
        for n, artifact in enumerate(trial.inputs):
            folder = root / f"input-{n}"
            shutil.copytree(artifact.path, folder)
            # A virtual artifact says in its metadata where to look.
            old, new = (json.dumps(str(path))[1:-1] for path in (artifact.path, folder))
            metadata = json.loads(json.dumps(dict(artifact.metadata)).replace(old, new))
            inputs.append(replace(artifact, path=folder, metadata=metadata))
        # Weights of the first input that has any: of the others a step may need but the shape.
        files = [(a, f) for a in inputs for f in sorted(a.files, key=lambda f: -f.size)]
        expect(files, "the inputs have no files to damage")
        chosen = (
            [pair for pair in files if pair[1].name == self.damage]
            or [pair for pair in files if pair[1].role == "weights"]
            or files
        )
        artifact, file = chosen[0]
        path = artifact.path / file.name
        path.write_bytes(path.read_bytes()[: file.size // 2])
        return replace(trial, root=root, inputs=tuple(inputs)), file.name


def _weights(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.suffix in (".safetensors", ".gguf", ".bin", ".onnx")]


class SaveConformance(MakingConformance):
    """Checks of a saver: set ``plugin``, and ``spec`` when the plugin has several."""

    spec_type = SaveSpec


class ConvertConformance(MakingConformance):
    """Checks of a converter: set ``plugin``, and ``spec`` when the plugin has several."""

    spec_type = ConvertSpec
