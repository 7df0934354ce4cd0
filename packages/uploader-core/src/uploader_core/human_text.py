"""Numbers and names as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def size_text(size: int) -> str:
    """Write bytes in decimal units with three digits: ``4.37 GB``."""
    if size < 1000:
        return f"{size} B"
    value = float(size)
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.5 or unit == "PB":
            digits = 2 if value < 10 else 1 if value < 100 else 0
            return f"{value:.{digits}f} {unit}"
    raise AssertionError(size)


def duration_text(seconds: float) -> str:
    """Write a duration: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``1 h 02 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def count_text(count: object, thing: str) -> str:
    """Write how many there are: ``1 file``, ``12 files``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def names_text(names: Sequence[str], most: int = 3) -> str:
    """Write the first of several names, and how many there are besides."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def did_you_mean(word: str, known: Iterable[str], most: int) -> str:
    """Ask for the names, at most so many, that are close to a word; "" where none is."""
    import difflib

    close = difflib.get_close_matches(word, [*known], n=most)
    return f"did you mean {' or '.join(close)}?" if close else ""


def visible(text: str) -> str:
    """Return a text with everything spelt out that a terminal would obey instead of showing it.

    What files of others say is quoted in errors: it may not clear the screen, or turn words round.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
