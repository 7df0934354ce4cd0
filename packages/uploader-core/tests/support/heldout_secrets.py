"""Secrets that were written without a look at the patterns: some of two lists, by a seed.

The first list was measured before the patterns were mended by it, the second once after that:
docs/what-is-checked.md has the figures.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from random import Random

from key_files import files
from key_places import HEADERS, NEEDS_MARK, PLACES, Place
from key_values import Kind
from more_key_files import more_files
from more_key_places import MORE_HEADERS, MORE_PLACES
from more_service_keys import MORE
from service_keys import KINDS


def first(seed: int) -> list[tuple[str, str, bytes]]:
    """Return what a secret is, the name of its file, and the file."""
    rng = Random(seed)
    return [*_placed((*KINDS, *KINDS), PLACES, rng, HEADERS), *files(rng)]


def second(seed: int) -> list[tuple[str, str, bytes]]:
    """Return what a secret is, the name of its file, and the file."""
    rng = Random(seed)
    placed = _placed((*MORE, *KINDS, *MORE), MORE_PLACES, rng, MORE_HEADERS)
    return [*placed, *more_files(rng)]


def _placed(
    kinds: Iterable[Kind], places: Sequence[Place], rng: Random, headers: Collection[Place]
) -> Iterator[tuple[str, str, bytes]]:
    """Yield each kind in a place; every place has about as many."""
    left: list[Place] = []
    for kind in kinds:
        value = kind.make(rng)
        is_address = "://" in value or ";" in value
        skipped = []
        while True:
            if not left:
                left = rng.sample(places, len(places))
            place = left.pop()
            if not (kind.bare and place in NEEDS_MARK or is_address and place in headers):
                break
            skipped.append(place)
        left += skipped
        yield f"{kind.name} in {place.__name__}", *place(rng, kind.key, value)
