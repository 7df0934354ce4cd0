"""Which files of a repository on the Hub a release can depend on: one set of weights, and no code.

Repositories also hold pickles, the same weights for other frameworks or in other precisions, and
ready-made GGUFs; none of that is fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable

_SMALL = re.compile(
    r"[^/]+\.(json|jinja|txt|model|tiktoken)|additional_chat_templates/[^/]+\.jinja"
    r"|(README|LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*",
    re.ASCII,
)

ADAPTER, MODEL = "adapter_model", "model"


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
    for name in (f"{stem}.safetensors", f"{stem}.safetensors.index.json"):
        if name in names:
            return (name,)
    return ()


def shards_of(index: str | bytes) -> list[str]:
    """Return the files that an index of shards names; nothing for one that cannot be read."""
    try:
        return sorted({str(name) for name in json.loads(index)["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
