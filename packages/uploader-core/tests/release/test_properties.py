"""Records, manifests and logs survive the way through JSON; runs, kills, damage in any order."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as examples_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from steady import STEADY
from uploader_core.artifact import Artifact, ArtifactFile, Receipt, UploadFile
from uploader_core.contract.output import OutputFolder
from uploader_core.destinations.verify import read_manifest, verify_folder
from uploader_core.disk.safe_write import child, write_json
from uploader_core.errors import IntegrityError
from uploader_core.manifest_file import NAME, SCHEMA
from uploader_core.release.record import Record
from uploader_core.release.store import ReleaseStore
from uploader_core.running.events import Event, EventFile

QUIET = settings(STEADY, max_examples=60)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NAMES = st.from_regex(r"[\w äß-][\w. äß-]{0,12}(/[\w-]{1,8})?", fullmatch=True).filter(
    lambda name: all(part.strip(". ") for part in name.split("/"))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False,
        allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
FILES = st.builds(
    ArtifactFile,
    name=NAMES,
    size=st.integers(0, 2**50),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
    role=st.sampled_from(["weights", "config", "document", "other"]),
)
ARTIFACTS = st.builds(
    Artifact,
    kind=st.from_regex(r"[a-z0-9.-]{1,12}", fullmatch=True),
    path=st.just(Path("x")),
    files=st.lists(FILES, max_size=4, unique_by=lambda file: file.name).map(tuple),
    metadata=st.dictionaries(TEXT, JSON, max_size=3),
    producer=TEXT,
    version=TEXT,
)


@QUIET
@examples_of(ARTIFACTS)
def test_artifact(artifact: Artifact) -> None:
    assert Artifact.from_json(json.loads(json.dumps(artifact.to_json()))) == artifact


@QUIET
@examples_of(FILES, st.booleans())
def test_upload_file(file: ArtifactFile, _: bool) -> None:
    sent = UploadFile(
        name=file.name, path=Path("x"), size=file.size, sha256=file.sha256, role=file.role, kind="k"
    )
    assert UploadFile.from_json(json.loads(json.dumps(sent.to_json()))) == sent


@QUIET
@examples_of(
    ARTIFACTS, TEXT.filter(bool), st.dictionaries(TEXT, JSON, max_size=2), st.floats(0, 1e6)
)
def test_record(artifact: Artifact, key: str, about: Any, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as place:
        store = ReleaseStore(Path(place))
        record = Record(
            step="a:b", key=key, folder="made", about=about, seconds=round(seconds, 3),
            artifact=Artifact(**{**_fields(artifact), "path": Path(place) / "made"}),
        )  # fmt: skip
        store.save(record)
        assert store.record("a:b") == record
        assert store.record("a:c") is None


def _fields(artifact: Artifact) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in
            ("kind", "path", "files", "metadata", "producer", "version")}  # fmt: skip


@QUIET
@examples_of(st.data())
def test_record_with_a_flipped_bit_is_none(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        store = ReleaseStore(Path(place))
        receipt = {"url": "x", "files": 7}
        store.save(Record(step="a:b", key="k", about={"version": "1.0"}, receipt=receipt))
        (file,) = (store.internal / "steps").iterdir()
        whole = file.read_bytes()
        torn = bytearray(whole)
        torn[data.draw(st.integers(0, len(torn) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(torn)
        # White space between tokens means nothing.
        with contextlib.suppress(ValueError):
            if json.loads(torn) == json.loads(whole):
                return
        assert store.record("a:b") is None


@QUIET
@examples_of(st.lists(FILES, max_size=5, unique_by=lambda file: file.name))
def test_manifest(files: list[ArtifactFile]) -> None:
    listed = [{"path": f.name, "size": f.size, "sha256": f.sha256, "role": f.role} for f in files]
    text = json.dumps({"schema": SCHEMA, "files": listed})
    assert read_manifest(text, "here") == tuple(files)


@QUIET
@examples_of(st.binary(max_size=200) | JSON.map(lambda data: json.dumps(data).encode()))
def test_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_manifest(data, "here")


@QUIET
@examples_of(st.lists(st.tuples(TEXT, st.dictionaries(st.sampled_from("abc"), JSON)), max_size=5))
def test_log_of_events(events: list[tuple[str, dict[str, Any]]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "events.jsonl"
        log = EventFile(path)
        for step, data in events:
            log(Event(type="step_done", step=step, time=1.5, data=data))
        log.close()
        # One line for each, whatever is in it.
        lines = path.read_bytes().split(b"\n")[:-1]
        assert [json.loads(line) for line in lines] == [
            {"type": "step_done", "step": step, "time": 1.5, **data} for step, data in events
        ]


@QUIET
@examples_of(TEXT)
def test_no_name_leaves_its_folder(name: str) -> None:
    root = Path("/release/folder")
    with contextlib.suppress(IntegrityError):
        assert child(root, name).is_relative_to(root)
        assert ".." not in child(root, name).parts


UNITS = {f"part-{n}.safetensors": f"content of {n}".encode() * 50 for n in range(3)}


class Releases(RuleBasedStateMachine):
    """A step of three files: run, killed (kill -9), damaged, verified, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._place = tempfile.TemporaryDirectory()
        self.root = Path(self._place.name) / "release"
        self.damaged = False
        self.finished = False

    def teardown(self) -> None:
        self._place.cleanup()

    def _run(self, stop: int | None = None) -> int:
        """Run the step; return how many files were made.

        Args:
            stop: Number of the operation at which this process kills itself.
        """
        store, made, count = ReleaseStore(self.root), 0, 0

        def pass_by() -> None:
            nonlocal count
            count += 1
            if count == stop:
                os.kill(os.getpid(), signal.SIGKILL)

        with store.open():
            if store.current("acme:save", "key") is not None:
                return 0
            store.claim("acme")
            pass_by()
            output = OutputFolder(
                self.root / "acme", store.work("acme:save"), store.units("acme:save", "key")
            )
            for name, content in UNITS.items():
                pass_by()
                if output.done(name) is not None:
                    continue
                made += 1
                with output.create(name) as writer:
                    writer.write(content[:100])
                    pass_by()
                    writer.write(content[100:])
                pass_by()
            artifact = Artifact(kind="acme", path=self.root / "acme", files=output.files)
            store.save(
                Record(step="acme:save", key="key", folder="acme", artifact=artifact,
                       stats=store.stats_of(artifact))
            )  # fmt: skip
            pass_by()
            listed = [
                {"path": f"acme/{f.name}", "size": f.size, "sha256": f.sha256, "role": f.role}
                for f in artifact.files
            ]
            write_json(self.root / NAME, {"schema": SCHEMA, "files": listed})
        return made

    def _differs(self) -> bool:
        files = {name: self.root / "acme" / name for name in UNITS}
        return any(f.is_file() and f.read_bytes() != UNITS[name] for name, f in files.items())

    @rule()
    def run(self) -> None:
        made = self._run()
        assert not self.finished or self.damaged or made == 0
        self.finished, self.damaged = True, False

    @precondition(lambda _: hasattr(os, "fork"))
    @rule(stop=st.integers(1, 14))
    def run_and_kill(self, stop: int) -> None:
        child = os.fork()
        if child == 0:
            try:
                self._run(stop)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL)
        self.finished |= status == 0
        # What was damaged may be made anew already, or not yet; a kill damages nothing.
        made = [f for f in UNITS if (self.root / "acme" / f).is_file()]
        self.damaged = self.damaged and self._differs()
        self.finished = self.finished and len(made) == len(UNITS)

    @precondition(lambda self: self.finished)
    @rule(name=st.sampled_from(sorted(UNITS)), cut=st.booleans())
    def damage(self, name: str, cut: bool) -> None:
        file = self.root / "acme" / name
        if file.is_file():
            data, stat = file.read_bytes(), file.stat()
            file.write_bytes(data[:-1] if cut else bytes([data[0] ^ 1]) + data[1:])
            # Clocks of file systems stand still for some milliseconds.
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
            self.damaged = self._differs()  # a byte that is flipped twice is whole again

    @precondition(lambda self: self.finished and self.damaged)
    @rule()
    def damage_is_found(self) -> None:
        if (self.root / NAME).is_file():
            assert verify_folder(self.root).problems

    @invariant()
    def whatever_has_a_final_name_is_whole(self) -> None:
        if self.damaged or not (self.root / "acme").is_dir():
            return
        for file in (self.root / "acme").iterdir():
            assert file.read_bytes() == UNITS[file.name]

    @invariant()
    def a_finished_release_is_as_recorded(self) -> None:
        if self.finished and not self.damaged and (self.root / NAME).is_file():
            assert verify_folder(self.root).problems == ()
            assert {f.name for f in (self.root / "acme").iterdir()} == set(UNITS)


TestReleases = Releases.TestCase
TestReleases.settings = settings(QUIET, max_examples=40, stateful_step_count=12)


def test_receipt_is_told_as_it_was() -> None:
    receipt = Receipt(
        destination="x:y", url="u", revision=None, private=True, files=1, bytes_sent=2, metadata={}
    )
    assert json.loads(json.dumps(receipt.to_json()))["private"] is True
