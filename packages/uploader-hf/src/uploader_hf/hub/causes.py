"""What is behind an error of the client: a chain of errors, an answer, a request."""

from __future__ import annotations

from collections.abc import Iterator


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it, outermost first."""
    while error is not None:
        yield error
        error = error.__cause__


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status behind an error of the client, through what wraps it."""
    for part in chain(error):
        status = getattr(getattr(part, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def carried_token(error: BaseException) -> str:
    """Return the token that the request of an error carried, "" for none."""
    for part in chain(error):
        for source in (getattr(part, "response", None), part):
            # Never getattr on httpx's errors blindly: their ``request`` raises when there is none.
            try:
                header = str(source.request.headers["Authorization"])  # type: ignore[union-attr]
            except (AttributeError, KeyError, RuntimeError):
                continue
            return header.removeprefix("Bearer ")
    return ""
