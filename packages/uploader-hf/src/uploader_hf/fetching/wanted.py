"""Which files of a repository on the Hub a release can depend on: one set of weights, and no code.

Repositories also hold pickles, the same weights for other frameworks or in other precisions, and
ready-made GGUFs; none of that is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from uploader_core.plugin import SourceError, parse_json

_SMALL = re.compile(
    r"[^/]+\.(json|jinja|txt|model|tiktoken)|additional_chat_templates/[^/]+\.jinja"
    # The modules that sentence-transformers puts around a transformer; their weights are small.
    r"|(?:[a-z]+_)?\d{1,2}_[A-Z]\w*/[^/]+\.(json|txt|safetensors)"
    r"|(README|LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*",
    re.ASCII,
)

ADAPTER, MODEL = "adapter_model", "model"
_OF_MLX = "adapters.safetensors"
"""What mlx-lm calls the weights of an adapter."""

CONFIGS = frozenset({"config.json", "adapter_config.json"})
"""What a folder holds that holds an adapter or a model."""


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
        if "/" not in folder and inside & CONFIGS and weights_of(inside, "source")
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


def small_files(names: Iterable[str]) -> list[str]:
    """Return configuration, tokenizer, templates, card and licences."""
    return sorted(name for name in names if _SMALL.fullmatch(name))


def weights_of(names: Collection[str], purpose: str) -> tuple[str, ...]:
    """Return the weights, or the index that names them, as those who read them choose.

    Args:
        names: All files of the repository.
        purpose: ``source``, where an adapter goes before a model, or ``base``.

    Returns:
        One name, or nothing when there are no safetensors.
    """
    adapter = purpose == "source" and "adapter_config.json" in names
    stem = ADAPTER if adapter else MODEL
    own = (_OF_MLX,) if adapter else ()
    for name in (f"{stem}.safetensors", f"{stem}.safetensors.index.json", *own):
        if name in names:
            return (name,)
    return ()


def shards_of(index: str | bytes) -> list[str]:
    """Return the files that an index of shards names; nothing for one that cannot be read."""
    try:
        return sorted({str(name) for name in parse_json(index)["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
