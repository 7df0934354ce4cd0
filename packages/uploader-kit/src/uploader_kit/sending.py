"""What holds for a destination, tried against a real server on this machine and a bad line."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from uploader_core.artifact import Json, UploadFile
from uploader_core.contract.specs import UploadSpec
from uploader_core.deprecations import UploaderDeprecationWarning
from uploader_core.disk.safe_write import hash_file, write_json
from uploader_core.release.manifest_file import NAME, SCHEMA
from uploader_kit.conformance import StepConformance, expect
from uploader_kit.proxy import FaultProxy
from uploader_kit.trial import Result, Trial, resolve_settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A place to upload to, as the kit needs to know it.

    Attributes:
        target: What stands behind the scheme, ``bucket/folder``.
        listing: Returns what is there now: sha256 by name as in
            :class:`~uploader_core.artifact.UploadFile`. Files of the destination's own may be in
            it.
        environment: Variables that the plugin needs, its secrets among them.
        url: Address of the server on this machine; None when there is no server.
        url_variable: Variable that tells the plugin the address, so that the kit can put a bad line
            in between.
        damage: Changes a file at the destination, behind the plugin's back; None when the
            destination does not allow that.
    """

    target: str
    listing: Callable[[], Mapping[str, str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    url_variable: str | None = None
    damage: Callable[[str], None] | None = None


class UploadConformance(StepConformance):
    """Checks of one destination: set ``plugin`` and override :meth:`destination`.

    Attributes:
        size: Bytes of the largest file.
        cut_after: Bytes that a connection carries before the bad line loses it.
        cuts: How many connections are lost.
    """

    spec_type = UploadSpec
    size: ClassVar[int] = 3_000_000
    cut_after: ClassVar[int] = 1_000_000
    cuts: ClassVar[int] = 2

    def destination(self) -> AbstractContextManager[Destination]:
        """Return a context manager that gives a new, empty destination on this machine."""
        raise NotImplementedError

    # -- checks --------------------------------------------------------------------------------

    def test_everything_arrives(self) -> None:
        """Every file is at the destination with its digest, and the receipt counts them."""
        with self._open("arrives") as (place, trial):
            receipt = _receipt(trial.run())
            self._expect_complete(place, trial)
            count = len(trial.files)
            expect(receipt["files"] == count, f"the receipt counts {receipt['files']} of {count}")
            expect(receipt["url"], "the receipt has no url")
            sent, total = receipt["bytes_sent"], sum(f.size for f in trial.files)
            expect(sent >= total, f"the receipt says {sent:,} of {total:,} bytes were sent")

    def test_second_upload_sends_nothing(self) -> None:
        """What is there already is seen by its digest and not sent again."""
        with self._open("twice") as (place, trial):
            _receipt(trial.run())
            receipt = _receipt(trial.run())
            sent = receipt["bytes_sent"]
            expect(sent == 0, f"the second upload sent {sent:,} bytes again")
            self._expect_complete(place, trial)

    def test_lost_connections_are_survived(self) -> None:
        """On a bad line the step tries again, or ends as temporary; a later run completes it."""
        with self._open("cut", bad_line=True) as (place, trial, proxy):
            proxy.cuts, proxy.after = self.cuts, self.cut_after
            first = trial.run()
            expect(proxy.connections, "nothing went through the address in "
                   f"{place.url_variable}: is that what the plugin reads?")  # fmt: skip
            proxy.cuts = 0
            if first.error is not None:
                expect(first.error.exit_code == 5, "a lost connection must end as TemporaryError, "
                       f"not as {type(first.error).__name__}: {first.error}")  # fmt: skip
                expect(first.error.next, f"{first.error.what!r} does not say what to do next")
                _receipt(trial.run())
            self._expect_complete(place, trial)

    def test_killed_upload_is_completed(self) -> None:
        """An upload that was killed is completed by the next one."""
        with self._open("killed") as (place, trial):
            trial.run(kill=60)
            _receipt(trial.run())
            self._expect_complete(place, trial)

    def test_second_release_replaces_the_first(self) -> None:
        """What only the earlier release had is gone. Announced: it warns today, and fails later."""
        with self._open("replaced") as (place, trial):
            kept = tuple(f for f in trial.files if not f.name.startswith("lora/"))
            for files in (trial.files, kept):
                _receipt(_with_manifest(trial, files).run())
            there = place.listing()
            left = sorted({f.name for f in trial.files} & {*there} - {f.name for f in kept})
            self._expect_complete(place, replace(trial, files=kept))
            if left:
                warnings.warn(
                    f"{self.plugin}: {', '.join(left)} of an earlier release is still there after "
                    "the next one, and programs may load it: take away what "
                    "uploader_core.plugin.find_leftovers names (an error in a later version)",
                    UploaderDeprecationWarning,
                    stacklevel=2,
                )

    def test_replaced_release_is_not_kept(self) -> None:
        """What was brought is still there until another release replaces it."""
        if self.the_spec().still_there is None:
            pytest.skip("the destination does not tell whether an upload is there")
        with self._open("there") as (_, trial):
            kept = tuple(f for f in trial.files if not f.name.startswith("lora/"))
            receipt = _receipt(_with_manifest(trial, trial.files).run())
            for brought, there in ((None, True), (kept, False)):
                if brought is not None:
                    _receipt(_with_manifest(trial, brought).run())
                result = trial.still_there(receipt)
                expect(result.error is None, f"still_there failed: {result.error}")
                expect(result.value is there, f"still_there says {result.value} of a release that "
                       f"is {'there' if there else 'replaced by another'}")  # fmt: skip

    def test_damage_at_the_destination_is_noticed(self) -> None:
        """The next upload compares with what is there and puts it right."""
        with self._open("damaged") as (place, trial):
            if place.damage is None:
                pytest.skip("nothing can be changed at this destination")
            _receipt(trial.run())
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
        """No secret is in the log, in the receipt or in an error."""
        with self._open("secret") as (place, trial):
            values = [place.environment.get(name, "") for name in self.the_spec().secrets]
            secrets = [value for value in values if len(value) >= 8]
            first = trial.run()
            wrong = {n: "wrong-" + v[::-1] for n, v in place.environment.items() if v in secrets}
            second = replace(trial, environment={**trial.environment, **wrong}).run()
            for result in (first, second):
                told = f"{result.log} {result.value} {result.error and result.error.to_json()}"
                for secret in (*secrets, *wrong.values()):
                    expect(secret not in told, "a secret is in the log, the receipt or the error")

    def test_check_answers(self) -> None:
        """The preflight runs in a worker with the secrets and does not refuse a good target."""
        spec = self.the_spec()
        if spec.check is None:
            pytest.skip("the destination has no check")
        with self._open("check") as (_, trial):
            result = trial.check()
            expect(result.error is None, f"{spec.check}: {result.error}")

    # -- inside --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _open(self, name: str, *, bad_line: bool = False) -> Iterator[Any]:
        with self.destination() as place, contextlib.ExitStack() as stack:
            environment = dict(place.environment)
            proxy = None
            if bad_line:
                if place.url is None or place.url_variable is None:
                    pytest.skip("there is no server, so there is no line to lose")
                proxy = stack.enter_context(FaultProxy(place.url).running())
                environment[place.url_variable] = proxy.url
            plugin, spec = self.load(), self.the_spec()
            root = self.root(name)
            trial = Trial(
                plugin=plugin,
                spec=spec,
                root=root,
                settings=resolve_settings(plugin, spec, self.settings),
                target=place.target,
                files=_release(root / "release", self.size),
                environment=environment,
            )
            yield (place, trial) if proxy is None else (place, trial, proxy)

    def _expect_complete(self, place: Destination, trial: Trial) -> None:
        there = place.listing()
        missing = sorted(f.name for f in trial.files if f.name not in there)
        expect(not missing, f"not at the destination: {', '.join(missing)}; "
               f"there is: {', '.join(sorted(there))}")  # fmt: skip
        wrong = sorted(f.name for f in trial.files if there[f.name] != f.sha256)
        expect(not wrong, f"other bytes at the destination: {', '.join(wrong)}")


def _receipt(result: Result) -> Mapping[str, Any]:
    if result.error is not None:
        raise result.error
    receipt: Mapping[str, Any] = result.value
    return receipt


def _with_manifest(trial: Trial, files: tuple[UploadFile, ...]) -> Trial:
    """Return the upload of some files and the manifest that lists them."""
    return replace(trial, files=(*files, _manifest(trial.root / "manifest", files)))


def _manifest(folder: Path, files: tuple[UploadFile, ...]) -> UploadFile:
    """Write the manifest of a release, as a run sends it."""
    path = folder / str(len(files)) / NAME
    listed: list[Json] = [
        {"path": f.name, "size": f.size, "sha256": f.sha256, "role": f.role, "kind": f.kind}
        for f in files
    ]
    made: list[Json] = [{"kind": kind} for kind in sorted({f.kind for f in files})]
    digest = write_json(path, {"schema": SCHEMA, "files": listed, "artifacts": made})
    return UploadFile(
        name=NAME,
        path=path,
        size=path.stat().st_size,
        sha256=digest,
        role="document",
        kind="document",
    )


def _release(folder: Path, size: int) -> tuple[UploadFile, ...]:
    """Write what a small release holds."""
    rng = random.Random(5)  # noqa: S311 - bytes to send, not keys
    contents = {
        "model.safetensors": (rng.randbytes(size), "weights"),
        "config.json": (b'{"model_type": "llama"}\n', "config"),
        "lora/adapter_config.json": (b"{}\n", "config"),
        "README.md": ("# Größe 模型\n".encode(), "document"),
    }
    files = []
    for name, (content, role) in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        length, digest = hash_file(path)
        kind = "lora" if name.startswith("lora/") else "merged-16bit"
        files.append(
            UploadFile(name=name, path=path, size=length, sha256=digest, role=role, kind=kind)
        )
    return tuple(files)
