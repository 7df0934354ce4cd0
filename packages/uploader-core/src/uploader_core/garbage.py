"""Do without Python's collector of cycles while much is made that stays.

Each of its passes walks everything that a process has made, and every few hundred new objects set
one off. Modules and parsed text are hundreds of thousands of objects and hardly ever garbage:
reading a vocabulary of 150,000 tokens took three times as long with it as without.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, stays: bool = False) -> Iterator[None]:
    """Switch the collector off, and on again when it was on.

    Args:
        stays: What is made lives as long as the process, as modules do: no later pass walks it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if stays:
            gc.freeze()
        if was_on:
            gc.enable()
