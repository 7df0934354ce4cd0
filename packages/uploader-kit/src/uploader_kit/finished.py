"""What holds of what a saver or converter has made."""

from __future__ import annotations

from pathlib import Path

from uploader_core.contract.context import UseContext
from uploader_core.contract.specs import ConvertSpec, SaveSpec
from uploader_core.page.run_commands import programs_of
from uploader_kit.announcing import does_not_apply
from uploader_kit.conformance import StepConformance
from uploader_kit.passes import check_variants, each_variant
from uploader_kit.trial import RELEASE, Trial
from uploader_kit.watched import Result


class FinishedConformance(StepConformance):
    """Checks of variants and of ``use``; the classes for savers and converters inherit them."""

    def test_every_variant_is_made_alone_and_together(self) -> None:
        """Each variant can be made, and one call makes what single calls make."""
        self._need_files()
        spec: SaveSpec | ConvertSpec = self.the_spec()
        if spec.variants is None and not spec.together:
            does_not_apply("the spec makes one kind, by itself")
        self._need_reference()
        trial = self._the_trial()
        check_variants(trial, each_variant(trial, self.settings), self._place)

    def test_how_to_run_it_is_said(self) -> None:
        """``use`` names programs and their commands for what was made."""
        spec = self.the_spec()
        if spec.use is None:
            does_not_apply("the spec does not say how its kind is run")
        self._need_reference()
        made = UseContext(artifact=self._reference().artifact, release=RELEASE)
        programs_of(spec.use, self.load().entry.owner, made)

    def _need_files(self) -> None:
        raise NotImplementedError

    def _need_reference(self) -> None:
        raise NotImplementedError

    def _the_trial(self) -> Trial:
        raise NotImplementedError

    def _reference(self) -> Result:
        raise NotImplementedError

    def _place(self, name: str) -> Path:
        raise NotImplementedError
