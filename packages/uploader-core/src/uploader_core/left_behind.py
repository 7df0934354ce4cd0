"""Files that a user leaves behind on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from uploader_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from uploader_core.contract.sources import Sources


def refuse_misspelt(names: Iterable[str], sources: Sources) -> None:
    """Refuse a misspelt ``--leave-behind``, which would mean nothing.

    Args:
        names: What the user typed.
        sources: Of the plan.

    Raises:
        UsageError: No folder of a source has such a file.
    """
    folders = {sources.folder}
    for artifact in sources.artifacts.values():
        folders |= {(artifact.path / file.name).parent for file in artifact.files}
    unfetched = () if sources.fetched is None else sources.fetched.unfetched
    for name in names:
        if name not in unfetched and not any((folder / name).exists() for folder in folders):
            raise UsageError(
                f"--leave-behind {name}: {sources.shown} has no such file",
                owner="option --leave-behind",
                next="give the name as the error said it, without a folder",
            )
