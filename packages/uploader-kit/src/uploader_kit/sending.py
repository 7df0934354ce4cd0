"""What holds for a destination, tried against a real server on this machine and a bad line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar

from uploader_core.artifact import UploadFile
from uploader_kit import guard
from uploader_kit.aftermath import AftermathConformance
from uploader_kit.announcing import announce, does_not_apply
from uploader_kit.calm import Calm, receipt_of
from uploader_kit.conditions import Death, can_die_by_size
from uploader_kit.conformance import expect
from uploader_kit.declaring import check_broken_upload, check_receipt, declared_in_full
from uploader_kit.destination import (
    Destination,
    can_move,
    expect_complete,
    half_there,
    listing,
    moved,
)
from uploader_kit.files import unchanged
from uploader_kit.meeting import Meeting
from uploader_kit.proxy import FaultProxy
from uploader_kit.refusals import RefusalConformance
from uploader_kit.sample_release import (
    documents_first,
    make_release,
    with_manifest,
    without_last,
)
from uploader_kit.telltale import find_secret
from uploader_kit.trial import Trial, resolve_settings


class UploadConformance(AftermathConformance, RefusalConformance):
    """Checks of one destination: set ``plugin`` and override :meth:`destination`.

    Attributes:
        size: Bytes of the largest file.
        cut_after: Bytes that a connection carries before the bad line loses it.
        cuts: How many connections are lost.
        limit: Seconds that an upload of it may take.
        trusted: Names of programs that the upload starts and that shall have its secrets.
    """

    size: ClassVar[int] = 3_000_000
    cut_after: ClassVar[int] = 1_000_000
    cuts: ClassVar[int] = 2
    limit: ClassVar[float] = 300.0
    trusted: ClassVar[tuple[str, ...]] = ()

    _calm: ClassVar[Calm | None] = None

    @classmethod
    def setup_class(cls) -> None:
        super().setup_class()
        cls._calm = None

    def destination(self) -> AbstractContextManager[Destination]:
        """Return a context manager that gives a new, empty destination on this machine."""
        raise NotImplementedError(
            f"{type(self).__name__} has no destination(): return a context manager that starts a "
            "server on this machine and gives a uploader_kit.Destination"
        )

    def release(self, folder: Path) -> tuple[UploadFile, ...]:
        """Return what is sent; override where the destination takes certain kinds of file only.

        The first file should have :attr:`size` bytes, one should be a document, and without the
        last that is none, it should still be a release.

        Args:
            folder: Where to write it.
        """
        return make_release(folder, self.size)

    # -- checks --------------------------------------------------------------------------------

    def test_everything_arrives(self) -> None:
        """Every file is at the destination with its digest, and the receipt counts them."""
        calm = self._undisturbed()
        receipt = receipt_of(calm.result)
        expect_complete(calm.there, calm.trial.files)
        count = len(calm.trial.files)
        expect(receipt["files"] == count, f"the receipt counts {receipt['files']} of {count}")
        expect(receipt["url"], "the receipt has no url")
        sent, total = receipt["bytes_sent"], sum(f.size for f in calm.trial.files)
        expect(sent >= total, f"the receipt says {sent:,} of {total:,} bytes were sent")

    def test_nothing_else_is_left_at_the_destination(self) -> None:
        """Only what the run listed is there. Announced: it warns today, and fails later."""
        calm = self._undisturbed()
        receipt_of(calm.result)
        with self.destination() as place:
            own = place.own
        listed = {*calm.before, *(f.name for f in calm.trial.files)}
        extra = [n for n in calm.there if n not in listed]
        extra = [n for n in extra if not any(fnmatchcase(n, pattern) for pattern in own)]
        if extra:
            announce(
                self.plugin,
                f"{', '.join(sorted(extra))} is at the destination and not in context.files: "
                "nobody lists it, verifies it or takes it away; if the server makes it by itself, "
                "say so with `own` of Destination",
            )

    def test_release_folder_is_left_alone(self) -> None:
        """An upload reads the release and changes nothing in it."""
        changed = self._undisturbed().changed
        expect(not changed, f"the upload changed the release folder: {', '.join(changed)}; work in "
               "context.work")  # fmt: skip

    def test_documents_are_sent_last(self) -> None:
        """Whoever finds the README or the manifest there finds the weights, too."""
        early: list[tuple[str, str]] = []
        with self._open("order") as (place, trial):
            trial = documents_first(trial)

            def look() -> bool:
                there = listing(place)
                missing = [
                    f.name
                    for f in trial.files
                    if f.role != "document" and there.get(f.name) != f.sha256
                ]
                early.extend(
                    (f.name, name)
                    for f in trial.files
                    if f.role == "document" and there.get(f.name) == f.sha256
                    for name in missing[:1]
                )
                return not early

            meeting = self._meeting(trial, look)
            receipt_of(trial.run(meet=meeting))
            if meeting.error is not None:
                raise meeting.error
        for document, missing in early:
            expect(False, f"{document} was at the destination while {missing} was not: send "
                   "documents last (role 'document' of context.files)")  # fmt: skip

    def test_destination_is_listed_before_the_receipt(self) -> None:
        """What is changed there after it was sent is seen before a receipt is given."""
        hurt: list[str] = []
        with self._open("listed") as (place, trial):
            damage = place.damage
            if damage is None:
                does_not_apply("nothing can be changed at this destination")

            def look() -> bool:
                there = listing(place)
                whole = [f for f in trial.files if there.get(f.name) == f.sha256]
                if not whole or len(whole) == len(trial.files):
                    return True
                damage(whole[0].name)
                hurt.append(whole[0].name)
                return False

            meeting = self._meeting(trial, look)
            result = trial.run(meet=meeting)
            if meeting.error is not None:
                raise meeting.error
            if not hurt:
                does_not_apply("no file is there before the upload has ended")
            if result.error is not None:
                expect(result.error.next, f"{result.error.what!r} does not say what to do next")
                return
            there = listing(place)
            wrong = [f.name for f in trial.files if there.get(f.name) != f.sha256]
            expect(not wrong, f"{', '.join(wrong)} was changed at the destination after it was "
                   "sent, and the receipt was given all the same: when everything was sent, list "
                   "the destination again and compare every digest")  # fmt: skip

    def test_second_upload_sends_nothing(self) -> None:
        """What is there already is seen by its digest and not sent again."""
        with self._open("twice") as (place, trial):
            receipt_of(trial.run())
            receipt = receipt_of(trial.run())
            sent = receipt["bytes_sent"]
            expect(sent == 0, f"the second upload sent {sent:,} bytes again")
            self._expect_complete(place, trial)

    def test_lost_connections_are_survived(self) -> None:
        """On a bad line the step tries again, or ends as temporary; a later run completes it."""
        with self._open("cut", bad_line=True) as (place, trial, proxy):
            proxy.cuts, proxy.after = self.cuts, self.cut_after
            first = trial.run()
            where = place.url_variable or "target_at"
            expect(proxy.connections, "nothing went through the address in "
                   f"{where}: is that what the plugin reads?")  # fmt: skip
            proxy.cuts = 0
            if first.error is not None:
                expect(first.error.exit_code == 5, "a lost connection must end as TemporaryError, "
                       f"not as {type(first.error).__name__}: {first.error}")  # fmt: skip
                expect(first.error.next, f"{first.error.what!r} does not say what to do next")
                receipt_of(trial.run())
            self._expect_complete(place, trial)

    def test_killed_upload_is_completed(self) -> None:
        """An upload that was killed is completed by the next one."""
        with self._open("killed") as (place, trial):
            trial.run(kill=60)
            receipt_of(trial.run())
            self._expect_complete(place, trial)

    def test_interrupted_upload_leaves_nothing_torn(self) -> None:
        """A name at the destination has its whole file. Announced: it warns today, fails later."""
        with self.destination() as place:
            has_server = can_move(place)
        torn: list[str] = []
        if has_server:
            with self._open("torn", bad_line=True) as (place, trial, proxy):
                proxy.cuts, proxy.after = 1_000_000, self.size // 2
                trial.run(until=proxy.lost)
                torn = half_there(place, trial)
        elif can_die_by_size():
            with self._open("torn") as (place, trial):
                trial.run(death=Death(size=self.size // 2))
                torn = half_there(place, trial)
        else:
            does_not_apply("there is no server, and this system does not stop a copy in the middle")
        if torn:
            announce(
                self.plugin,
                f"{', '.join(torn)} was half there under its final name when the upload was "
                "interrupted: send to another name and rename when it is whole",
            )

    def test_second_release_replaces_the_first(self) -> None:
        """What only the earlier release had is gone. Announced: it warns today, and fails later."""
        with self._open("replaced") as (place, trial):
            kept = without_last(trial.files)
            for files in (trial.files, kept):
                receipt_of(with_manifest(trial, files).run())
            there = place.listing()
            left = sorted({f.name for f in trial.files} & {*there} - {f.name for f in kept})
            self._expect_complete(place, replace(trial, files=kept))
            if left:
                announce(
                    self.plugin,
                    f"{', '.join(left)} of an earlier release is still there after the next one, "
                    "and programs may load it: take away what "
                    "uploader_core.plugin.find_leftovers names",
                )

    def test_replaced_release_is_not_kept(self) -> None:
        """What was brought is still there until another release replaces it."""
        if self.the_spec().still_there is None:
            does_not_apply("the destination does not tell whether an upload is there")
        with self._open("there") as (_, trial):
            kept = without_last(trial.files)
            receipt = receipt_of(with_manifest(trial, trial.files).run())
            for brought, there in ((None, True), (kept, False)):
                if brought is not None:
                    receipt_of(with_manifest(trial, brought).run())
                result = trial.still_there(receipt)
                expect(result.error is None, f"still_there failed: {result.error}")
                expect(result.value is there, f"still_there says {result.value} of a release that "
                       f"is {'there' if there else 'replaced by another'}")  # fmt: skip

    def test_damage_at_the_destination_is_noticed(self) -> None:
        """The next upload compares with what is there and puts it right."""
        with self._open("damaged") as (place, trial):
            if place.damage is None:
                does_not_apply("nothing can be changed at this destination")
            receipt_of(trial.run())
            place.damage(trial.files[0].name)
            result = trial.run()
            if result.error is None:
                self._expect_complete(place, trial)
            else:
                expect(result.error.next, f"{result.error.what!r} does not say what to do next")

    def test_file_that_changed_is_refused(self) -> None:
        """A file that is no longer what was recorded never counts as released."""
        with self._open("changed") as (_, trial):
            path = trial.files[0].path
            path.write_bytes(b"another" + path.read_bytes()[7:])
            error = trial.run().error
            expect(error is not None, f"{path.name} changed after it was recorded and was sent")
            assert error is not None
            expect(error.exit_code in (4, 7), f"raise IntegrityError, not {type(error).__name__}")

    def test_secrets_are_not_told(self) -> None:
        """No secret is in log, receipt, error, progress or a name, plain or in base64."""
        with self._open("secret") as (place, trial):
            values = {n: place.environment.get(n, "") for n in self.the_spec().secrets}
            secrets = {name: value for name, value in values.items() if len(value) >= 8}
            first = trial.run()
            names = "\n".join(listing(place))
            wrong = {name: "wrong-" + value[::-1] for name, value in secrets.items()}
            second = replace(trial, environment={**trial.environment, **wrong}).run()
        told = {"the name of a file at the destination": names}
        for result, attempt in ((first, ""), (second, " of an upload with a wrong one")):
            error = result.error and result.error.to_json()
            told |= {
                f"the log{attempt}": result.log,
                f"the receipt{attempt}": str(result.value),
                f"the error{attempt}": str(error),
                f"the progress{attempt}": str(result.events),
            }
        found = [*find_secret(told, secrets), *find_secret(told, wrong)]
        expect(not found, "a secret is told: " + "; ".join(dict.fromkeys(found)))

    def test_secrets_stay_in_the_upload(self) -> None:
        """No program is started with a secret in its arguments, and none inherits one unasked."""
        said = [
            line.removeprefix(guard.TELLS)
            for line in self._undisturbed().result.violations
            if line.startswith(guard.TELLS)
        ]
        seen = [line for line in said if " in the arguments of " in line]
        expect(not seen, f"whoever lists processes reads {'; '.join(seen)}: hand it over by "
               "standard input or a file of your own")  # fmt: skip
        inherited = [line for line in said if line.rsplit(" ", 1)[-1] not in self.trusted]
        if inherited:
            announce(
                self.plugin,
                f"{'; '.join(inherited)}: give programs an `env` without it, or name those that "
                "shall have it in `trusted` of the test class",
            )

    def test_declared_capabilities_are_true(self) -> None:
        """What the spec says that the destination can do in full, it can."""
        can = declared_in_full(self.the_spec())
        if not can:
            does_not_apply("the destination declares nothing that the kit can try")
        check_receipt(can, receipt_of(self._undisturbed().result))
        if can & {"resume", "atomic"}:
            with self._open("capable", bad_line=True) as (place, trial, proxy):
                proxy.cuts, proxy.after = 1_000_000, self.size // 2
                trial.run(until=proxy.lost)
                there = place.listing()
                proxy.cuts = 0
                check_broken_upload(can, trial.files, there, receipt_of(trial.run())["bytes_sent"])

    # -- inside --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _open(self, name: str, *, bad_line: bool = False) -> Iterator[Any]:
        with self.destination() as place, contextlib.ExitStack() as stack:
            target, environment = place.target, dict(place.environment)
            proxy = None
            if bad_line:
                if place.url is None:
                    does_not_apply("there is no server, so there is no line to lose")
                proxy = stack.enter_context(FaultProxy(place.url).running())
                target, variables = moved(place, proxy.url)
                environment |= variables
            plugin, spec = self.load(), self.the_spec()
            root = self.root(name)
            trial = Trial(
                plugin=plugin,
                spec=spec,
                root=root,
                settings=resolve_settings(plugin, spec, self.settings),
                target=target,
                files=self.release(root / "release"),
                environment=environment,
                limit=self.limit,
            )
            yield (place, trial) if proxy is None else (place, trial, proxy)

    def _undisturbed(self) -> Calm:
        cls = type(self)
        if cls._calm is None:
            with self._open("arrives") as (place, trial):
                before = tuple(listing(place))
                with unchanged([trial.root / "release"]) as changed:
                    result = trial.run()
                there = {} if result.error is not None else place.listing()
            cls._calm = Calm(
                result=result, trial=trial, before=before, there=there, changed=tuple(changed)
            )
        return cls._calm

    def _meeting(self, trial: Trial, look: Callable[[], bool]) -> Meeting:
        return Meeting(trial.root / "meeting", [f.path for f in trial.files], look)

    def _expect_complete(self, place: Destination, trial: Trial) -> None:
        expect_complete(place.listing(), trial.files)
