"""Which folder of a repository on the Hub holds what is to be released."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import CONFIGS, SourceError, weights_of


def model_folder(model_id: str, names: Iterable[str]) -> str:
    """Find the folder of a repository that holds what is to be released.

    Args:
        model_id: The repository, for messages.
        names: All its files.

    Returns:
        "" for the root, also of a repository that holds nothing, or the only folder that has
        something when the root has not.

    Raises:
        SourceError: Several folders could be meant.
    """
    places: dict[str, set[str]] = {}
    for whole in names:
        folder, _, name = whole.rpartition("/")
        places.setdefault(folder, set()).add(name)
    if places.get("", set()) & CONFIGS:
        return ""
    found = sorted(
        folder
        for folder, inside in places.items()
        if "/" not in folder
        and folder != ".."
        and inside & CONFIGS
        and weights_of(inside, "source")
    )
    if not found:
        return ""
    if len(found) == 1:
        return found[0]
    name = model_id.rpartition("/")[2]
    raise SourceError(
        f"{model_id} holds several: {', '.join(found)}",
        owner=f"the folders of {model_id}",
        safe="nothing was written",
        next=f"hf download {model_id} --include '{found[-1]}/*' --local-dir {name}, then: "
        f"uploader run {name}/{found[-1]}",
    )
