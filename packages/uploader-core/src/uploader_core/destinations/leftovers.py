"""What is at a destination besides a release: files of an earlier release, and files of others.

Programs find a model by names: a ``model.safetensors`` that an earlier release left is loaded in
place of the shards of the new one. What the manifest there lists and the new release does not have
therefore goes with the commit that brings the new one. A file that no release listed is somebody's
own: it is refused where a program would load it, and otherwise left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from uploader_core.artifact import ArtifactFile, UploadFile
from uploader_core.contract.specs import Finding
from uploader_core.destinations.verify import KEPT, detached_in, read_manifest
from uploader_core.disk.safe_write import child, write_json
from uploader_core.errors import IntegrityError, RefusedError
from uploader_core.human_text import names_text
from uploader_core.manifest_file import NAME, describe_foreign, is_loaded
from uploader_core.untrusted_json import parse_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftovers:
    """Files at a destination that a release does not have.

    Attributes:
        earlier: Of an earlier release: they are to be removed together with its other files.
        kinds: Kinds of the earlier release that this one does not have.
        foreign: Of nobody's release, under names that programs load.
    """

    earlier: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def refuse(self, place: str, option: str) -> None:
        """Refuse a release that a foreign file would be taken for.

        Args:
            place: The destination, for messages.
            option: Of the plugin, by which the user decides (``--hf-foreign``).

        Raises:
            RefusedError: There is such a file.
        """
        if self.foreign:
            raise RefusedError(
                describe_foreign(self.foreign, place),
                owner="whoever put it there",
                safe="nothing there was changed",
                next=_choice(option),
            )

    def findings(self, place: str, option: str, decision: str) -> Iterator[Finding]:
        """Say in the plan what goes and what is in the way.

        Args:
            place: The destination, for messages.
            option: As in :meth:`refuse`.
            decision: What the user chose: ``refuse``, ``remove`` or ``keep``.
        """
        if self.kinds:
            yield Finding(
                level="warning",
                what=f"the release in {place} has {' and '.join(self.kinds)}, which this one does "
                "not have and which is removed with it",
                next=f"--plugins ...,{','.join(self.kinds)} keeps it, or choose another "
                "destination",
            )
        elif self.earlier:
            yield Finding(
                level="note",
                what=f"of the release that is there, {names_text(self.earlier)} "
                f"{'goes' if len(self.earlier) == 1 else 'go'}",
            )
        if self.foreign and decision == "refuse":
            yield Finding(
                level="error", what=describe_foreign(self.foreign, place), next=_choice(option)
            )
        elif self.foreign:
            done = "is removed" if decision == "remove" else "is kept, and programs may load it"
            yield Finding(level="warning", what=f"{names_text(self.foreign)} in {place} {done}")


def find_leftovers(
    there: Iterable[str],
    files: Iterable[str],
    loads: Sequence[str],
    *,
    kinds: Iterable[str],
    manifest: str | bytes | None,
    place: str,
    documents: bool = True,
    journal: Iterable[str] = (),
) -> Leftovers:
    """Compare the names at a destination with those of a release.

    Args:
        there: Names of all files at the destination, POSIX paths below its root.
        files: Names of the release.
        loads: Patterns of names that programs load, :attr:`StepContext.loads`.
        kinds: Kinds of the release.
        manifest: Content of the ``upload_manifest.json`` there, None without one.
        place: The destination, for messages.
        documents: Whether documents of the earlier release are looked at: False in a plan, where
            those of the new one are not known yet.
        journal: More names that are known to be of a release, such as one that was interrupted.

    Raises:
        RefusedError: The manifest there cannot be read, so what belongs to its release is unknown.
    """
    others = {*there} - {*files, NAME}
    listed, detached, had = ((), (), ()) if manifest is None else _read(manifest, place)
    known = {*journal, *detached, *(file.name for file in listed)}
    if not documents:
        others -= {*detached, *(file.name for file in listed if file.role == "document")}
    return Leftovers(
        earlier=tuple(sorted(others & known)),
        kinds=tuple(kind for kind in had if kind not in {*kinds}),
        foreign=tuple(sorted(name for name in others - known if is_loaded(name, loads))),
    )


def note_kept(
    files: Sequence[UploadFile], names: Iterable[str], work: Path
) -> tuple[UploadFile, ...]:
    """Return the files of a release with a manifest that says what its owner wants beside them.

    Args:
        files: Of the release, its manifest among them.
        names: Foreign files that the user chose to keep, so that a later check does not name them.
        work: Scratch folder for the new manifest.

    Raises:
        RefusedError: Documents of the release are about everything that is there, and these are not
            in them.
    """
    names = sorted(names)
    if not names:
        return tuple(files)
    path = work / NAME
    for file in files:
        about_all = detached_in(file.path.read_bytes(), NAME) if file.name == NAME else ()
        if about_all:
            raise RefusedError(
                f"{names_text(names)} would stay there, which {', '.join(about_all)} would not be "
                "about",
                owner="whoever put other files there",
                safe="nothing was sent",
                next="have them removed, or release without these documents",
            )

    def noted(file: UploadFile) -> UploadFile:
        if file.name != NAME:
            return file
        data = {**parse_json(file.path.read_text("utf-8")), KEPT: names}
        digest = write_json(path, data)
        return replace(file, path=path, size=path.stat().st_size, sha256=digest)

    return tuple(noted(file) for file in files)


def _read(
    manifest: str | bytes, place: str
) -> tuple[tuple[ArtifactFile, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the files, the detached documents and the kinds of the manifest at a destination.

    Raises:
        RefusedError: It cannot be read, or lists a name outside the destination, which no release
            does.
    """
    try:
        files = read_manifest(manifest, NAME)
        detached = detached_in(manifest, NAME)
        for file in files:
            child(Path(), file.name)
    except IntegrityError as error:
        raise RefusedError(
            f"{place} has an {NAME} that cannot be used ({error.what}), so which files belong to "
            "the release there is unknown",
            owner=place,
            safe="nothing there was changed",
            next=f"delete {NAME} there and run the same command again, or choose another "
            "destination",
        ) from error
    made = parse_json(manifest).get("artifacts")
    kinds = [a.get("kind") for a in made if isinstance(a, dict)] if isinstance(made, list) else []
    return files, detached, tuple(sorted({kind for kind in kinds if isinstance(kind, str)}))


def _choice(option: str) -> str:
    return f"{option} remove, {option} keep, or another destination"
