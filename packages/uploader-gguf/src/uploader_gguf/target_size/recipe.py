"""A choice of types as text: a stock mixture, and what ``--gguf-tensor-types`` changes of it.

The text says the type of every tensor of the mixture, so that nothing depends on the rules of the
stock mixture, which only gives the file its type number. Whoever pastes it gets the same bytes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

from uploader_gguf.format.quants import QUANTS, Quant, TensorType

STOCK = ("Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K")
"""Mixtures that programs name a file by, smallest first."""

_BLOCK = re.compile(r"blk\.(\d+)\.(.+)")


def base_of(sizes: Mapping[str, int], nbytes: int) -> Quant:
    """Return the stock mixture whose file is nearest in size, which gives the type number.

    Args:
        sizes: Bytes by name of the mixture.
        nbytes: Of the chosen one.
    """
    return QUANTS[min(sizes, key=lambda name: (abs(sizes[name] - nbytes), STOCK.index(name)))]


def patterns(kinds: Mapping[str, TensorType]) -> tuple[str, ...]:
    """Return ``REGEX=TYPE`` for every tensor, as few as there are roles and types.

    Of tensors that differ by their layer alone, those that have not the most frequent type come
    first, with the numbers of their layers; first match wins. No pattern holds a comma, and none
    matches a tensor of another name.

    Args:
        kinds: Type by tensor name.
    """
    alone: list[str] = []
    roles: dict[str, dict[int, TensorType]] = defaultdict(dict)
    for name, kind in kinds.items():
        block = _BLOCK.fullmatch(name)
        if block is None:
            alone.append(f"^{re.escape(name)}$={kind.name}")
        else:
            roles[block[2]][int(block[1])] = kind
    texts = sorted(alone)
    for role, layers in sorted(roles.items()):
        counted = Counter(layers.values())
        usual = max(counted, key=lambda kind: (counted[kind], -kind))
        for kind in sorted(counted):
            if kind != usual:
                numbers = "|".join(str(n) for n in sorted(layers) if layers[n] is kind)
                texts.append(rf"^blk\.({numbers})\.{re.escape(role)}$={kind.name}")
        texts.append(rf"^blk\.\d+\.{re.escape(role)}$={usual.name}")
    return tuple(texts)


def summary(kinds: Mapping[str, TensorType], parameters: Mapping[str, int]) -> str:
    """Return how the weights are spread over types, most first: ``Q4_K 71 %, Q6_K 29 %``.

    Args:
        kinds: Type by tensor name.
        parameters: Weights by tensor name.
    """
    counted: Counter[TensorType] = Counter()
    for name, kind in kinds.items():
        counted[kind] += parameters[name]
    total = counted.total()
    shares = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind.name} {100 * count / total:.0f} %" for kind, count in shares)
