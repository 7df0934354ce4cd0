"""Which arrays others are computed from, as mlx itself draws it. Heavy: mlx."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

import mlx.core as mx

_EDGE = re.compile(r'"?(\w+)"? -> "?(\w+)"?')


def computed_from(
    results: Mapping[str, mx.array], given: Mapping[str, mx.array]
) -> dict[str, set[str]]:
    """Return by name of a result the names of the given arrays that it needs.

    Args:
        results: Lazy arrays.
        given: What they may have been computed from.
    """
    if not results:
        return {}
    arrays = {f"r{n}": array for n, array in enumerate(results.values())}
    arrays |= {f"g{n}": array for n, array in enumerate(given.values())}
    drawn = io.StringIO()
    mx.export_to_dot(drawn, **arrays)
    edges = _EDGE.findall(drawn.getvalue())
    needs: dict[str, set[str]] = {}
    for before, after in edges:
        needs.setdefault(after, set()).add(before)
    names = [*given]
    found = {}
    for number, name in enumerate(results):
        seen, waiting = set(), [f"r{number}"]
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting += needs.get(node, ())
        found[name] = {names[int(node[1:])] for node in seen if re.fullmatch(r"g\d+", node)}
    return found
