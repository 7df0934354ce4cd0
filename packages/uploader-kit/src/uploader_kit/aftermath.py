"""What holds of a destination after an upload, whatever came of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from uploader_core.contract.context import CleanUpContext, VerifyContext
from uploader_core.contract.specs import UploadSpec
from uploader_core.workers.messages import CleanUp, Verify
from uploader_kit.announcing import does_not_apply
from uploader_kit.conformance import StepConformance, expect
from uploader_kit.sample_release import with_manifest
from uploader_kit.trial import Trial
from uploader_kit.watched import Result


class AftermathConformance(StepConformance):
    """Checks of ``verify`` and ``clean_up``; :class:`UploadConformance` inherits them."""

    spec_type = UploadSpec

    def test_verification_tells_damage(self) -> None:
        """What is there as it was sent is found so, and a file that changed is named."""
        if self.the_spec().verify is None:
            does_not_apply("the destination cannot be verified from afar")
        with self._open("verified") as (place, trial):
            result = with_manifest(trial, trial.files).run()
            expect(result.error is None, f"the upload failed: {result.error}")
            found = _verify(trial)
            expect(found.error is None, f"verify failed: {found.error}")
            problems = [f"{p.path} {p.what}" for p in found.value.problems]
            expect(not problems, f"verify says of what was just sent: {'; '.join(problems)}")
            count = len(trial.files)
            expect(found.value.files >= count, f"verify looked at {found.value.files} of {count} "
                   "files")  # fmt: skip
            if place.damage is None:
                return
            place.damage(trial.files[0].name)
            hurt = _verify(trial)
            told = hurt.error is not None or hurt.value.problems
            expect(told, f"{trial.files[0].name} was changed at the destination, and verify finds "
                   "nothing wrong: compare contents, or digests that are kept there")  # fmt: skip

    def test_stopped_upload_leaves_nothing_open(self) -> None:
        """After the user stopped it and ``clean_up`` ran, no session is open."""
        if self.the_spec().clean_up is None:
            does_not_apply("the destination has nothing to clean up")
        with self._open("stopped") as (place, trial):
            trial.run(cancel=True)
            result = _clean_up(trial, "cancelled")
            expect(result.error is None, f"clean_up failed: {result.error}")
            if place.open_sessions is None:
                does_not_apply("its author does not say how many sessions are open there")
            left = place.open_sessions()
            expect(not left, f"{left} sessions are open at the destination after clean_up")

    def _open(self, name: str, *, bad_line: bool = False) -> AbstractContextManager[Any]:
        raise NotImplementedError


def _verify(trial: Trial) -> Result:
    """Compare what is at the destination with its manifest, as ``uploader verify`` does."""
    return trial.put(Verify, "verify", VerifyContext(target=trial.target or ""))


def _clean_up(trial: Trial, why: str) -> Result:
    """Let a destination clean up after an upload, as a run does."""
    context = CleanUpContext(target=trial.target or "", why=why, state=trial.root / "state")
    return trial.put(CleanUp, "clean_up", context)
