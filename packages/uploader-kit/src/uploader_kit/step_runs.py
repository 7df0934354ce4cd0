"""Runs of one step that makes files, for all checks that look at them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest

from uploader_core.artifact import Artifact
from uploader_core.contract.costs import Estimate
from uploader_core.contract.specs import ConvertSpec
from uploader_kit.announcing import does_not_apply, not_tried
from uploader_kit.conditions import Conditions, untraceable
from uploader_kit.differences import cause, difference
from uploader_kit.files import unchanged, untouched
from uploader_kit.finished import FinishedConformance
from uploader_kit.inputs import CHECKPOINT, lazy_maker, make_input
from uploader_kit.interruption import Interruption, interrupt
from uploader_kit.trial import Trial, resolve_settings
from uploader_kit.watched import Result

FULL, LAZY = "full checkpoint", "lazy checkpoint"
"""What a converter of checkpoints is given: the folder of a full model, or base and adapter that
are merged when they are read."""


@dataclass
class _Runs:
    """What was run of one form of the inputs, so that several checks can look at it."""

    trial: Trial | None = None
    result: Result | None = None
    again: Result | None = None
    changed: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    interruption: Interruption | None = None
    cause: str | None = None
    answers: dict[str, Result] = field(default_factory=dict)


class StepRuns(FinishedConformance):
    """A saver or converter whose checks look at the same runs; each is made when it is asked for.

    Attributes:
        limit: Seconds that the step may take on a tiny input.
        check_limit: Seconds that its check and its estimate may take.
    """

    limit: ClassVar[float] = 300.0
    check_limit: ClassVar[float] = 60.0

    _runs: ClassVar[dict[str, _Runs]] = {}
    _form: ClassVar[str] = FULL

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        cls._runs = {}
        cls._form = FULL

    @pytest.fixture(autouse=True)
    def checkpoint_form(self, request: pytest.FixtureRequest) -> str:
        """The form of ``checkpoint`` that a check is run with."""
        form: str = getattr(request, "param", FULL)
        type(self)._form = form
        if form == LAZY:
            try:
                lazy_maker(self.registry())
            except LookupError as error:
                not_tried(str(error))
        return form

    def inputs(self, folder: Path) -> tuple[Artifact, ...]:
        """Return an artifact of every kind that the spec consumes; override for kinds of your own.

        Args:
            folder: Where to put them.
        """
        return tuple(
            make_input(kind, folder, self.registry(), self.plugin, lazy=self._form == LAZY)
            for kind in self.the_spec().consumes
        )

    @classmethod
    def _has_forms(cls) -> bool:
        """Return whether there is more than one form of the inputs to try."""
        if cls.inputs is not StepRuns.inputs:
            return False  # the author's own
        try:
            spec = cls.the_spec()
        except Exception:  # told by the checks
            return False
        return isinstance(spec, ConvertSpec) and CHECKPOINT in spec.consumes

    @property
    def _virtual(self) -> bool:
        spec = self.the_spec()
        return isinstance(spec, ConvertSpec) and spec.virtual

    def _need_files(self) -> None:
        if self._virtual:
            does_not_apply("a virtual step makes no files")

    def _folder_of(self, name: str) -> str:
        return name if self._form == FULL else f"{name}-lazy"

    def _place(self, name: str) -> Path:
        """Return a folder for the form of the inputs that is tried now."""
        return self.root(self._folder_of(name))

    def _run(self) -> _Runs:
        return self._runs.setdefault(self._form, _Runs())

    def _the_trial(self) -> Trial:
        runs = self._run()
        if runs.trial is None:
            spec = self.the_spec()
            runs.trial = Trial(
                plugin=self.load(),
                spec=spec,
                root=self._place("reference"),
                inputs=self.inputs(self._place("inputs")),
                settings=resolve_settings(self.load(), spec, self.settings),
                limit=self.limit,
            )
        return runs.trial

    def _reference(self) -> Result:
        """Run the step once, undisturbed, for all checks of the class."""
        runs = self._run()
        if runs.result is None:
            trial = self._the_trial()
            folders = [self._place("inputs"), *(artifact.path for artifact in trial.inputs)]
            around = Path(self._folder.name).resolve()
            with (
                unchanged([f for f in folders if f.is_dir()]) as runs.changed,
                untouched(around, but=trial.root) as runs.beside,
            ):
                runs.result = trial.run()
            runs.beside = [path for path in runs.beside if path not in runs.changed]
        return runs.result

    def _need_reference(self) -> None:
        """Raise what the step raised: what does not run once is not run twice."""
        if (error := self._reference().error) is not None:
            raise error

    def _again(self) -> Result:
        """Run it once more, on what looks like another machine at another time."""
        runs = self._run()
        self._need_reference()
        if runs.again is None:
            other = Conditions(seed=2, later=True, elsewhere=True, traced=not untraceable())
            runs.again = self._the_trial().at(self._place("again")).run(conditions=other)
        return runs.again

    def _nondeterminism(self) -> str | None:
        """Say where two runs differ, and why."""
        reference, again = self._reference().artifact, self._again().artifact
        where = difference(reference, again)
        if where is None:
            return None
        runs = self._run()
        if runs.cause is None:
            runs.cause = cause(self._under, reference)
        return f"{where}. Cause: {runs.cause}"

    def _under(self, conditions: Conditions) -> Artifact:
        place = self._place(f"{conditions.seed}-{conditions.later}-{conditions.elsewhere}")
        return self._the_trial().at(place).run(conditions=conditions).artifact

    def _interruption(self) -> Interruption:
        runs = self._run()
        if runs.interruption is None:
            reference = self._reference().artifact
            trial = self._the_trial().at(self._place("killed"))
            runs.interruption = interrupt(trial, reference)
        return runs.interruption

    def _answer(self, function: str) -> Result:
        """Ask check, proof or estimate, with their own limit; a failure is the author's to see."""
        runs = self._run()
        if function not in runs.answers:
            limit = self.limit if function == "prove" else self.check_limit
            trial = replace(self._the_trial(), root=self._place("asked"), limit=limit)
            runs.answers[function] = trial.ask(function)
        result = runs.answers[function]
        if result.error is not None:
            raise result.error
        return result

    def _estimate(self) -> Estimate | None:
        if self.the_spec().estimate is None:
            return None
        estimate: Estimate = self._answer("estimate").value
        return estimate
