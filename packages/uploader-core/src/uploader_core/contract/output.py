"""The folder of one artifact, as a step sees it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from uploader_core.artifact import ArtifactFile
from uploader_core.disk.safe_write import (
    CHUNK,
    HashingWriter,
    becoming,
    child,
    commit,
    create,
    hash_file,
    write_json,
)
from uploader_core.errors import PluginError
from uploader_core.secret_patterns import without_secrets
from uploader_core.untrusted_json import parse_json

ANOTHER_STEP = "another step of the run"


class OutputFolder:
    """The folder of one artifact, as a step sees it: the only way to put files into a release.

    Args:
        path: Final folder, ``<release>/<kind>``.
        scratch: Private folder of the step on the same file system.
        units: Folder for the unit records of this step, or None. A file that was finished by an
            earlier, interrupted attempt with the same inputs and settings is found again through
            its unit record, see :meth:`done`.
        reserved: Names that others write into the folder, in any spelling of upper and lower case.
        finished: Files that other workers of this very step have made, which are believed.

    Attributes:
        parts: A folder that all workers of the step see, and that is removed when the step is done.
    """

    def __init__(
        self,
        path: Path,
        scratch: Path,
        units: Path | None = None,
        reserved: Iterable[str] = (),
        finished: Iterable[ArtifactFile] = (),
    ) -> None:
        self.path = path
        self.scratch = scratch
        self._units = units
        self._taken = {name.casefold(): ANOTHER_STEP for name in reserved}
        self._files: dict[str, ArtifactFile] = {}
        self._finished = {file.name: file for file in finished}
        self.parts = (units or scratch) / "parts"

    @property
    def files(self) -> tuple[ArtifactFile, ...]:
        """Every file that was committed through this object, sorted by name."""
        return tuple(self._files[name] for name in sorted(self._files))

    def done(self, name: str) -> ArtifactFile | None:
        """Return a file that an interrupted attempt of the same step already finished.

        The content is hashed again before it is believed. A step that calls this before it makes a
        file redoes at most one file after a kill. Nor does it make what other workers of the step
        made as their pieces of it.
        """
        file = self._finished.get(name)
        if file is not None and self._place(name).lstat().st_size == file.size:
            self._files[name] = file
            return file
        if self._units is None:
            return None
        record = self._units / (name.replace("/", "__") + ".json")
        target = self._place(name)
        try:
            file = ArtifactFile.from_json(parse_json(record.read_text("utf-8")))
            if target.is_symlink() or hash_file(target) != (file.size, file.sha256):
                return None
        except (OSError, ValueError):
            return None
        self._files[name] = file
        return file

    @contextlib.contextmanager
    def create(self, name: str, *, role: str = "weights") -> Iterator[HashingWriter]:
        """Write a file front to back; it is hashed on the way and committed at the end.

        Args:
            name: POSIX path below the artifact's folder.
            role: For the manifest.
        """

        def announce(writer: HashingWriter) -> None:
            self._announce(
                ArtifactFile(name=name, size=writer.size, sha256=writer.sha256, role=role)
            )

        target = self._place(name)
        with create(target, scratch=self.scratch, before_commit=announce) as writer:
            yield writer

    @contextlib.contextmanager
    def reserve(self, name: str, *, role: str = "weights") -> Iterator[Path]:
        """Let a library that wants a path write a file; it is hashed and committed at the end.

        Yields:
            A path in the scratch folder. It ends like ``name``, for libraries that look at the
            suffix.
        """
        target = self._place(name)
        partial = self.scratch / "reserved" / target.name
        with becoming(partial, target):
            yield partial
            with partial.open("rb+") as handle:
                os.fsync(handle.fileno())
            size, digest = hash_file(partial)
            self._announce(ArtifactFile(name=name, size=size, sha256=digest, role=role))
            commit(partial, target)

    @contextlib.contextmanager
    def create_part(self, name: str) -> Iterator[HashingWriter]:
        """Write a part of a file, for the worker that puts the file together.

        Args:
            name: Of the part; no other part of the step has it.
        """
        with create(child(self.parts, name.replace("/", "__")), scratch=self.scratch) as writer:
            yield writer

    def part(self, name: str) -> Path | None:
        """Return where a part lies that is whole, None where it was not made.

        Parts are removed when the step is done.
        """
        path = child(self.parts, name.replace("/", "__"))
        return path if path.is_file() else None

    def write(self, name: str, data: bytes | str, *, role: str = "config") -> ArtifactFile:
        """Write a small file. Text is UTF-8 with the line ends that it has."""
        with self.create(name, role=role) as writer:
            writer.write(data.encode("utf-8") if isinstance(data, str) else data)
        return self._files[name]

    def copy(self, source: Path, name: str, *, role: str = "config") -> ArtifactFile:
        """Copy a file byte for byte. A symlink is read through; its target must be a file."""
        with self.create(name, role=role) as writer, source.open("rb") as handle:
            while block := handle.read(CHUNK):
                writer.write(block)
        return self._files[name]

    def _place(self, name: str) -> Path:
        """Return where a file goes.

        Raises:
            IntegrityError: It is no name of a file.
            PluginError: The name is taken, or tells a secret.
        """
        target = child(self.path, name)
        known = self._taken.setdefault(name.casefold(), name)
        if known != name:
            raise PluginError(
                f"{name!r} is written by {known} as well"
                if known == ANOTHER_STEP
                else f"{known!r} and {name!r} are one file where case does not count",
                safe="nothing of that name was written by this step",
                next="give the file another name",
            )
        if without_secrets(name) != name:
            raise PluginError("the name of a file looks like a secret", next="give it another name")
        return target

    def _announce(self, file: ArtifactFile) -> None:
        # Before the rename: a kill between the two leaves a record without its file, which the
        # next attempt sees, and never a file that nobody remembers.
        if self._units is not None:
            write_json(self._units / (file.name.replace("/", "__") + ".json"), file.to_json())
        self._files[file.name] = file
