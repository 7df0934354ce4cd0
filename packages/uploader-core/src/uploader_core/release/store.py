"""The release folder's memory: step records, unit records, claims.

Everything is small JSON written by the protocol of :mod:`uploader_core.disk.safe_write`. The record
of a step is its commit point: without one the step has not happened.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from uploader_core.artifact import Artifact, ArtifactFile, Json
from uploader_core.disk.safe_write import child, hash_file, write_json
from uploader_core.errors import IntegrityError, RefusedError
from uploader_core.machine import filesystems
from uploader_core.machine.folder_lock import Watch, hold
from uploader_core.machine.os_errors import translate_os_error
from uploader_core.release.record import INTERNAL, Record, canonical_digest, safe_name
from uploader_core.untrusted_json import member, parse_json, read_as


class ReleaseStore:
    """The ``.uploader`` folder of a release.

    Args:
        root: The release folder. Nothing is created before :meth:`open`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.internal = root / INTERNAL
        self.quarantine = self.internal / "quarantine"
        self._made_root = False

    # -- life --------------------------------------------------------------------------------

    def check_foreign(self) -> None:
        """Refuse a folder that holds something that no run of uploader made.

        Raises:
            RefusedError: The folder is not empty and is not a release.
        """
        if self.root.exists() and not self.root.is_dir():
            raise RefusedError(f"{self.root} is a file", next="choose another --output")
        if self.root.is_dir() and not self.internal.is_dir() and any(self.root.iterdir()):
            raise RefusedError(
                f"{self.root} is not empty and is not a release folder of uploader",
                owner="whoever put files there",
                safe="nothing in it was touched",
                next="choose a new folder with --output",
            )

    @contextlib.contextmanager
    def open(self, wait: Watch | None = None) -> Iterator[None]:
        """Create the folder and hold its lock.

        Args:
            wait: As of :func:`~uploader_core.machine.folder_lock.hold`.

        Raises:
            RefusedError: See :meth:`check_foreign`.
            TemporaryError: Another run is working in the folder.
        """
        self.check_foreign()
        self._made_root = not self.root.exists()
        try:
            self.internal.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise translate_os_error(error, self.internal) from error
        with hold(self.internal / "lock", self.root, wait=wait):
            yield

    def abandon(self) -> None:
        """Take back what :meth:`open` made, for a run that was refused before its first step."""
        shutil.rmtree(self.internal, ignore_errors=True)
        if self._made_root:
            with contextlib.suppress(OSError):  # somebody put a file there
                self.root.rmdir()

    def claim(self, folder: str) -> None:
        """Mark an output folder as ours before the first file goes in.

        Raises:
            RefusedError: It holds files already and was never marked.
        """
        if folder in ("", "."):
            return
        mark = self.internal / "folders" / f"{safe_name(folder)}.json"
        target = self.root / folder
        if mark.is_file():
            return
        if target.exists() and any(target.iterdir()):
            raise RefusedError(
                f"{target} holds files that no run of uploader made",
                safe="nothing in it was touched",
                next="move them away, or choose a new folder with --output",
            )
        write_json(mark, {"folder": folder})

    # -- records -----------------------------------------------------------------------------

    def record(self, step_id: str) -> Record | None:
        """Read a step's record; a missing or unreadable one is None: the step runs again."""
        try:
            data = parse_json(self._record_path(step_id).read_text("utf-8"))
            digest = member(data, "digest", str)
            del data["digest"]
            if canonical_digest(data) != digest:
                return None  # one flipped bit would be published as a fact
            if data["step"] != step_id:
                return None  # of another step, whose files would be taken for replaced ones
            return self._read_record(data)
        except (OSError, ValueError, KeyError, IntegrityError):
            return None

    def save(self, record: Record) -> None:
        """Commit a step: its record, then forget the files and units that it replaced."""
        old = self.record(record.step)
        data = record.to_json()
        write_json(self._record_path(record.step), {**data, "digest": canonical_digest(data)})
        if record.artifact is not None:
            self._remove_replaced(record, old)
        shutil.rmtree(self.internal / "units" / safe_name(record.step), ignore_errors=True)

    def current(
        self,
        step_id: str,
        key: str,
        *,
        read: bool = False,
        tick: Callable[[int], None] = lambda _: None,
    ) -> Record | None:
        """Return the record when the step need not run: equal key, and every file as recorded.

        A file whose size, time and inode are as they were when it was hashed is believed; any
        other is hashed. One that differs is set aside, never deleted.

        Args:
            step_id: The step.
            key: Of what it would make now.
            read: Believe nothing, no receipt either, and hash every file: a disk changes bits and
                no times.
            tick: Called with the bytes of a file that were read; may raise to stop.
        """
        record = self.record(step_id)
        if record is None or record.key != key:
            return None
        if record.artifact is None:
            return None if read else record  # what lies at a destination now, only the upload tells
        whole = True
        for file in record.artifact.files:
            path = record.artifact.path / file.name
            if not path.is_file() and not path.is_symlink():
                whole = False
            elif not self._unchanged(
                path, file, None if read else record.stats.get(file.name), tick
            ):
                self._set_aside(path)
                whole = False
        return record if whole else None

    def records(self) -> Iterator[Record]:
        """Yield the record of every step that was ever done here; unreadable ones are left out."""
        for path in sorted((self.internal / "steps").glob("*.json")):
            with contextlib.suppress(OSError, ValueError):
                if record := self.record(member(parse_json(path.read_text("utf-8")), "step", str)):
                    yield record

    def stats_of(self, artifact: Artifact) -> dict[str, tuple[int, int]]:
        """Return time and inode of each file, for :meth:`current`."""
        stamps = {f.name: filesystems.stamp_of(artifact.path / f.name) for f in artifact.files}
        return {name: (time_ns, inode) for name, (_, time_ns, inode) in stamps.items()}

    def work(self, step_id: str) -> Path:
        """Return an empty scratch folder for a step.

        Its name is a new one each time: a worker of a run that was killed may live for a moment
        longer than its run, and go on writing into the one that it was given.
        """
        place = self.internal / "work"
        try:
            place.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=f"{safe_name(step_id)}-", dir=place))
        except OSError as error:
            raise translate_os_error(error, place) from error

    def units(self, step_id: str, key: str) -> Path:
        """Return the folder of the step's unit records; units of other keys stay for clean-up."""
        return self.internal / "units" / safe_name(step_id) / key[:16]

    def units_of(self, step_id: str, key: str = "*") -> Iterator[ArtifactFile]:
        """Yield the files that interrupted attempts of a step finished."""
        for unit in (self.internal / "units" / safe_name(step_id)).glob(f"{key[:16]}/*.json"):
            with contextlib.suppress(OSError, ValueError):
                yield ArtifactFile.from_json(parse_json(unit.read_text("utf-8")))

    def sweep(self) -> None:
        """Remove what a killed run left half-written; only for who holds the lock.

        Everything in these folders was made by a run of ours, and no record names it.
        """
        for folder in sorted((self.internal / "work").glob("*")):
            shutil.rmtree(folder, ignore_errors=True)

    def left_over(self) -> int:
        """Return the bytes on disk that :meth:`sweep` would free."""
        return filesystems.bytes_below(self.internal / "work")

    def finished(self, step_id: str, key: str, folder: str) -> int:
        """Return the bytes of files that an interrupted attempt finished; sizes only are read."""
        total = 0
        for file in self.units_of(step_id, key):
            with contextlib.suppress(OSError, IntegrityError):
                size = child(self.root / folder, file.name).stat().st_size
                total += size if size == file.size else 0
        return total

    # -- inside ------------------------------------------------------------------------------

    def _read_record(self, data: Mapping[str, Json]) -> Record:
        """Raise a ValueError or IntegrityError where it says things that no run of ours wrote."""
        record = read_as(Record, data)
        if (record.artifact is None) == (record.receipt is None):
            raise ValueError("a step makes an artifact, or gets a receipt")
        if record.artifact is None:
            return record
        path = self.root if record.folder == "." else child(self.root, record.folder)
        for file in record.artifact.files:
            child(path, file.name)
        return replace(record, artifact=replace(record.artifact, path=path))

    def _record_path(self, step_id: str) -> Path:
        return self.internal / "steps" / f"{safe_name(step_id)}.json"

    def _unchanged(
        self,
        path: Path,
        file: ArtifactFile,
        seen: tuple[int, int] | None,
        tick: Callable[[int], None],
    ) -> bool:
        stat = path.lstat()
        if stat.st_size != file.size or not path.is_file() or path.is_symlink():
            return False
        if seen == (stat.st_mtime_ns, stat.st_ino):
            return True
        return hash_file(path, tick) == (file.size, file.sha256)

    def _set_aside(self, path: Path) -> None:
        self.quarantine.mkdir(parents=True, exist_ok=True)
        path.replace(self.quarantine / f"{time.time_ns()}-{path.name}")

    def _remove_replaced(self, record: Record, old: Record | None) -> None:
        """Remove files that only earlier settings of the same step made."""
        artifact = record.made
        keep = {file.name for file in artifact.files}
        made = {file.name for file in old.artifact.files} if old and old.artifact else set()
        units = {file.name for file in self.units_of(record.step)}
        for name in (made | units) - keep:
            with contextlib.suppress(IntegrityError):  # a record that was tampered with
                child(artifact.path, name).unlink(missing_ok=True)
