"""What holds for a step that makes files: savers and converters."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from uploader_core.contract.specs import ConvertSpec, SaveSpec
from uploader_core.errors import CancelledError
from uploader_kit import guard, tracing
from uploader_kit.announcing import announce, does_not_apply, not_tried
from uploader_kit.conditions import untraceable
from uploader_kit.conformance import expect
from uploader_kit.differences import difference
from uploader_kit.estimating import negative, wrong
from uploader_kit.files import files_below
from uploader_kit.inputs import cut_in_half
from uploader_kit.pieces import in_pieces
from uploader_kit.step_runs import FULL, LAZY, StepRuns
from uploader_kit.telltale import find_keys, find_names, names_of_this_machine, paths_in


class MakingConformance(StepRuns):
    """Checks of one saver or converter; inherit :class:`SaveConformance` or ``Convert...``.

    What consumes ``checkpoint`` is tried with both of its forms.

    Attributes:
        damage: Refusing an input that was cut in half is part of the contract; the name of the file
            to cut, or "" for the largest weights of the first input.
    """

    damage: ClassVar[str] = ""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run the checks of what consumes a checkpoint with each of its forms."""
        if metafunc.function.__name__ in vars(MakingConformance) and self._has_forms():
            metafunc.parametrize("checkpoint_form", (FULL, LAZY), indirect=True)

    def test_step_runs_in_a_worker(self) -> None:
        """On a tiny real input, in a process of its own, the step returns the promised kind."""
        artifact = self._reference().artifact
        wanted = self._the_trial().kind
        expect(artifact.kind == wanted, f"the step returned {artifact.kind}, not {wanted}")
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
        result, runs = self._reference(), self._run()
        found = [v for v in result.violations if v.startswith(guard.WRITES)]
        expect(not found, "written outside context.output and context.work: " + "; ".join(found))
        expect(not runs.changed, f"the step changed its input: {', '.join(runs.changed)}")
        expect(not runs.beside, "something wrote beside context.output and context.work: "
               + ", ".join(runs.beside))  # fmt: skip
        left = sorted(files_below(self._the_trial().root / "work"))
        partial = [name for name in left if name.endswith(".partial")]
        expect(not partial, f"partial files were left behind: {', '.join(partial)}")

    def test_no_network_is_used(self) -> None:
        """Saving and converting work on a machine without a network."""
        found = [v for v in self._reference().violations if v.startswith(guard.ASKS)]
        expect(not found, "the step asked the network: " + "; ".join(found))

    def test_programs_that_it_starts_write_nothing_elsewhere(self) -> None:
        """What native code and other programs do for the step stays in its folders, too."""
        result = self._again()
        if result.trace is None:
            not_tried(untraceable())
        told = "".join(self._reference().violations)  # what Python's own code did is told elsewhere
        root = self._the_trial().root.with_name(self._folder_of("again"))
        written = [p for p in tracing.written(result.trace, [root]) if p not in told]
        expect(not written, "a program that the step started, or native code, wrote outside "
               f"context.output and context.work: {', '.join(written)}")  # fmt: skip

    def test_programs_that_it_starts_use_no_network(self) -> None:
        """Native code and other programs need no network, either."""
        result = self._again()
        if result.trace is None:
            not_tried(untraceable())
        asked = tracing.addresses(result.trace)
        expect(not asked, "a program that the step started, or native code, asked the network: "
               f"{', '.join(asked)}")  # fmt: skip

    def test_same_input_gives_the_same_bytes(self) -> None:
        """Another folder, clock, host, user and hash seed give the same bytes and metadata."""
        found = self._nondeterminism()
        expect(found is None, f"the same input gave other bytes the second time: {found}")

    def test_nothing_about_this_machine_is_told(self) -> None:
        """No path, home folder or host of the machine, and no key of a vendor, is in the files."""
        self._need_files()
        artifact = self._reference().artifact
        contents = {f.name: artifact.file(f.name).read_bytes() for f in artifact.files}
        names = names_of_this_machine(Path(self._folder.name))
        found = find_names(contents, names, paths_in(self._place("inputs"), names))
        found += find_keys(contents)
        expect(not found, "whoever gets the release reads it: " + "; ".join(found))

    def test_killed_and_run_again_it_gives_the_same_bytes(self) -> None:
        """A kill leaves nothing half-written under a final name, and the next run completes it."""
        self._need_files()
        reference, found = self._reference().artifact, self._interruption()
        expect(not found.torn, f"a killed step left these half-written: {', '.join(found.torn)}; "
               "write through context.output, which gives names to whole files only")  # fmt: skip
        if self._nondeterminism() is not None:
            does_not_apply("the step gives other bytes each time, which is told of it elsewhere")
        differs = difference(reference, found.artifact)
        expect(differs is None, f"the run after a kill gave other bytes: {differs}")

    def test_finished_files_are_kept_after_a_kill(self) -> None:
        """What an interrupted attempt finished is not made again. Announced: it warns today."""
        self._need_files()
        found = self._interruption()
        if not found.finished:
            does_not_apply("the step makes one file of weights, or none that a kill could leave")
        if found.made_again:
            announce(
                self.plugin,
                f"{', '.join(found.made_again)} was finished when the step was killed, and the "
                "next run made it again: ask context.output.done(name) before you make a file",
            )

    def test_cancelled_step_says_so(self) -> None:
        """An inline step that reports progress stops when it is told to, and keeps nothing torn."""
        if self.the_spec().isolation != "inline":
            does_not_apply("a worker of its own is told, and ended where it does not leave in time")
        trial = self._the_trial().at(self._place("cancelled"))
        error = trial.run_cancelled().error
        expect(error is None or isinstance(error, CancelledError),
               f"a stopped step raised {error!r}: let CancelledError pass through")  # fmt: skip

    def test_failure_names_the_plugin(self) -> None:
        """Input that was cut in half is refused, with where the error comes from and what to do."""
        place, inputs = self._place("damaged"), self._place("inputs")
        damaged, name = cut_in_half(self._the_trial(), inputs, place, self.damage)
        error = damaged.run().error
        if error is None:
            expect(self._virtual, f"{name} was cut in half and the step did not mind")
            return
        expect(error.owner, f"{error.what!r} does not say where it comes from")
        expect(error.next, f"{error.what!r} does not say what to do next")
        expect(not files_below(damaged.output) or not _weights(damaged.output),
               "a failed step left weights under a final name")  # fmt: skip

    def test_check_and_estimate_answer(self) -> None:
        """Check and proof do not refuse the tiny input, and an exact estimate is exact."""
        spec = self.the_spec()
        for function in ("check", "prove"):
            if (dotted := getattr(spec, function)) is None:
                continue
            findings = self._answer(function)
            refused = [f.what for f in findings.value if f.level == "error"]
            expect(not refused, f"{dotted} refuses the tiny input: {'; '.join(refused)}")
        estimate = self._estimate()
        if estimate is not None and estimate.exact:
            written = self._reference().artifact.size
            expect(estimate.bytes_written == written, f"{spec.estimate} said exactly "
                   f"{estimate.bytes_written:,} bytes, the step wrote {written:,}")  # fmt: skip

    def test_check_and_estimate_write_nothing(self) -> None:
        """A plan leaves no trace: check and estimate write no file and make no folder."""
        spec = self.the_spec()
        asked = [name for name in ("check", "estimate") if getattr(spec, name) is not None]
        if not asked:
            does_not_apply("the spec has neither check nor estimate")
        for name in asked:
            found = [v for v in self._answer(name).violations if v.startswith(guard.WRITES)]
            expect(not found, f"{getattr(spec, name)} may read only, a plan writes nothing: "
                   + "; ".join(found))  # fmt: skip
        left = [*self._place("asked").glob("release/**/*")]
        expect(not left, f"check or estimate made {', '.join(map(str, left))}")

    def test_estimate_is_about_right(self) -> None:
        """No number is negative; off by a factor, it warns today."""
        estimate = self._estimate()
        if estimate is None:
            does_not_apply("the spec has no estimate")
        below = negative(estimate)
        expect(not below, f"{self.the_spec().estimate} said that {', '.join(below)}")
        result = self._reference()
        for sentence in wrong(estimate, result.artifact.size, result.peak):
            announce(self.plugin, f"{self.the_spec().estimate}: {sentence}")

    def test_pieces_of_several_workers_give_the_same_bytes(self) -> None:
        """What the estimate names as pieces is made by several workers, each its own alone."""
        self._need_files()
        if (estimate := self._estimate()) is None or len(estimate.pieces) < 2:
            does_not_apply("the estimate names no pieces")
        if (self._form == FULL and self._has_forms()) or self._nondeterminism() is not None:
            does_not_apply("it is tried with base and adapter, where the bytes are always the same")
        names = [piece.name for piece in estimate.pieces]
        artifact = in_pieces(self._the_trial().at(self._place("pieces")), names)
        differs = difference(self._reference().artifact, artifact)
        expect(differs is None, f"made in pieces it has other bytes: {differs}")


def _weights(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.suffix in (".safetensors", ".gguf", ".bin", ".onnx")]


class SaveConformance(MakingConformance):
    """Checks of a saver: set ``plugin``, and ``spec`` when the plugin has several."""

    spec_type = SaveSpec


class ConvertConformance(MakingConformance):
    """Checks of a converter: set ``plugin``, and ``spec`` when the plugin has several."""

    spec_type = ConvertSpec
