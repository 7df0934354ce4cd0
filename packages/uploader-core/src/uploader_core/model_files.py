"""Which files of a place with models a release can depend on: one set of weights, and no code.

Repositories and buckets also hold pickles, the same weights for other frameworks or in other
precisions, and ready-made GGUFs; none of that is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from uploader_core.untrusted_json import parse_json

_SMALL = re.compile(
    r"[^/]+\.(json|jinja|txt|model|tiktoken)|additional_chat_templates/[^/]+\.jinja"
    # The modules that sentence-transformers puts around a transformer; their weights are small.
    r"|(?:[a-z]+_)?\d{1,2}_[A-Z]\w*/[^/]+\.(json|txt|safetensors)"
    # What a release of several formats says of the tensors of each.
    r"|[^/]+/tensor_digests\.json"
    r"|(README|LICEN[CS]E|NOTICE|COPYING|USE_POLICY)[^/]*",
    re.ASCII,
)

_NO_NAME = re.compile(r"[\\:\x00-\x1f\x7f-\x9f]")
"""What a server may list, and Windows takes for another place; no file of a model is called so."""

ADAPTER, MODEL = "adapter_model", "model"
_OF_MLX = "adapters.safetensors"
"""What mlx-lm calls the weights of an adapter."""

RELEASE = "release"
"""Purpose for which the manifest of a release and its other small files are fetched."""

CONFIGS = frozenset({"config.json", "adapter_config.json"})
"""What a folder holds that holds an adapter or a model."""


def leads_out(folder: Path, path: Path) -> bool:
    """Return whether a file of a folder is a link to what lies elsewhere.

    The Hub's cache is made of links from ``snapshots/<commit>/`` to ``blobs/`` next to it; those
    are as good as files.
    """
    try:
        real, root = path.resolve(), folder.resolve()
    except (OSError, RuntimeError):  # a circle of links
        return True
    # A folder of a snapshot, which holds one model of several, is as good as the whole.
    snapshots = [place for place in (root, root.parent) if place.parent.name == "snapshots"]
    allowed = [root, *(place.parents[1] / "blobs" for place in snapshots)]
    return not any(real.is_relative_to(place) for place in allowed)


def small_files(names: Iterable[str]) -> list[str]:
    """Return configuration, tokenizer, templates, card and licences."""
    return sorted(name for name in names if _SMALL.fullmatch(name) and not _NO_NAME.search(name))


def weights_of(names: Collection[str], purpose: str) -> tuple[str, ...]:
    """Return the weights, or the index that names them, as those who read them choose.

    Args:
        names: All files of the place.
        purpose: ``source``, where an adapter goes before a model, ``base``, or ``release``, which
            needs none.

    Returns:
        One name, or nothing when there are no safetensors.
    """
    if purpose == RELEASE:
        return ()
    adapter = purpose == "source" and "adapter_config.json" in names
    stem = ADAPTER if adapter else MODEL
    own = (_OF_MLX,) if adapter else ()
    for name in (f"{stem}.safetensors", f"{stem}.safetensors.index.json", *own):
        if name in names:
            return (name,)
    return ()


def shards_of(index: str | bytes) -> list[str]:
    """Return the files that an index of shards names; nothing for one that cannot be read.

    What is in another folder is no shard: who reads the index itself refuses it.
    """
    try:
        named = {str(name) for name in parse_json(index)["weight_map"].values()}
        return sorted(n for n in named if not _NO_NAME.search(n) and "/" not in n and ".." not in n)
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


_FIRST = 128 << 10
"""Bytes asked for at once: enough for the header of most files."""

_LARGEST_HEADER = 100_000_000
"""As the safetensors library has it."""


def write_outline(path: Path, size: int, read_range: Callable[[int, int], bytes]) -> None:
    """Write a file of the length of one elsewhere, with its header; the rest is a hole.

    A safetensors file begins with the length of its header (8 bytes, little-endian) and the header.
    So a plan sees names, shapes and sizes of every tensor for some kilobytes.

    Args:
        path: Where to.
        size: Bytes of the file.
        read_range: Returns its bytes from an offset up to another.
    """
    start = read_range(0, min(_FIRST, size))
    end = 8 + int.from_bytes(start[:8], "little")
    if len(start) < end <= min(size, _LARGEST_HEADER):
        start += read_range(len(start), end)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(start[:end])
        file.truncate(size)
