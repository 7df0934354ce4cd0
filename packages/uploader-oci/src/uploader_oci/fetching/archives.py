"""Archives from a registry: regular files with names that stay in their folder, nothing else."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from uploader_core.plugin import SourceError
from uploader_oci.fetching.contents import check_name, wanted

_MOST = 200
"""How many times larger than the archive its files may be; models hardly shrink when packed."""
_ROOM = 1 << 28


def unpack(archive: Path, how: str, folder: Path, place: str) -> None:
    """Write the files of an archive that a release can depend on.

    Args:
        archive: File that was compared with its digest.
        how: ``tar`` or ``tar+gzip``.
        folder: Where to.
        place: Where it came from, for messages.

    Raises:
        SourceError: It cannot be read, is far larger than it pretends, or has a name that would
            leave the folder.
    """
    left = archive.stat().st_size * _MOST + _ROOM
    try:
        with tarfile.open(archive, "r:gz" if how == "tar+gzip" else "r:") as packed:
            for member in packed:
                name = check_name(member.name.removeprefix("./").rstrip("/") or "folder", place)
                if not member.isreg() or not wanted([name]):
                    continue
                left -= member.size
                if left < 0:
                    raise SourceError(
                        f"an archive of {place} is many times larger than it pretends",
                        owner="whoever pushed it",
                        safe="what was unpacked is not used",
                        next="do not trust this model; ask its owner",
                    )
                source = packed.extractfile(member)
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if source is not None:
                    with source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SourceError(
            f"an archive of {place} cannot be unpacked: {error}",
            owner=place,
            safe="what was unpacked is not used",
            next="pull it with the tool that pushed it, and give the folder",
        ) from error
