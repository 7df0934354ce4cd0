"""Scores that make llama.cpp merge pieces in the order of the tokenizer's own merges.

``llm_tokenizer_spm`` of llama.cpp knows no merges: of two neighbours whose texts together are a
token, it joins those first whose token has the highest score. llama.cpp's converter takes the
scores of ``tokenizer.model``, and -1000 for every token where there is only ``tokenizer.json``. The
merges of ``tokenizer.json`` may have another order than those scores: transformers 5 puts them in
the order of ids when it reads a ``tokenizer.model``, while Llama 2 gives its runs of spaces early
ids and the lowest score.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence


def ranked(merges: Sequence[tuple[str, str]]) -> list[str]:
    """Return the merged texts in the order in which they are made."""
    return list(dict.fromkeys(left + right for left, right in merges))


def scores_for(
    merges: Sequence[tuple[str, str]],
    ids: Mapping[str, int],
    scores: Sequence[float],
    found_before: Collection[int],
) -> list[float] | None:
    """Return scores in the order of merges, or None when the given ones have it.

    Args:
        merges: Pairs in the order in which the tokenizer merges them.
        ids: Id of each token's text.
        scores: What the converter wrote, by id.
        found_before: Ids of tokens that are searched for in a text before anything is merged.
    """
    order = [ids[text] for text in ranked(merges) if text in ids]
    merged = [i for i in order if i not in found_before]
    if all(scores[a] > scores[b] for a, b in itertools.pairwise(merged)):
        return None
    changed = list(scores)
    for i in ids.values():
        changed[i] = -float(len(order) + i)
    for rank, i in enumerate(order):
        changed[i] = -float(rank)
    return changed
