"""Sessions of uploads at a registry: begun, asked about, given up."""

from __future__ import annotations

import re
from dataclasses import replace

from uploader_core.plugin import UploaderError
from uploader_oci.registry.answer import AGAIN, Answer
from uploader_oci.registry.journal import Session
from uploader_oci.registry.line import Lost
from uploader_oci.registry.transport import Transport


def begin(transport: Transport, repository: str, what: str) -> tuple[str, int | None]:
    """Begin an upload.

    Args:
        transport: Of the registry.
        repository: Where to.
        what: What is being done, for messages.

    Returns:
        Address of the session, and the bytes that a piece must have at least, None where the
        registry does not say.
    """
    answer = transport.request("POST", f"/v2/{repository}/blobs/uploads/", what=what, expect=(202,))
    least = answer.headers.get("oci-chunk-min-length", "")
    return location_of(answer, transport), int(least) if least.isdigit() else None


def state_of(transport: Transport, session: Session) -> Session | None:
    """Ask how far a session is; None when the registry does not know it."""
    answer = transport.request(
        "GET", session.location, what=f"asking how far {session.digest[:19]}... is",
        expect=(200, 204, 400, 404, 405, 410, 416),
    )  # fmt: skip
    if answer.status not in (200, 204):
        return None
    end = end_of(answer)
    location = location_of(answer, transport, session.location)
    # "0-0" is what registries say of nothing and of a single byte.
    offset = 0 if end is None or end == 0 else end + 1
    return replace(session, location=location, offset=offset)


def give_up(transport: Transport, session: Session) -> bool:
    """End a session at the registry.

    Returns:
        Whether it is gone; False where nobody answered.
    """
    try:
        transport.request(
            "DELETE", session.location, what="giving up an upload",
            expect=(200, 202, 204, 400, 404, 405, 410, 416),
        )  # fmt: skip
    except UploaderError:
        return False
    return True


def location_of(answer: Answer, transport: Transport, default: str = "") -> str:
    """Return the address of a session.

    Args:
        answer: Of a request to it.
        transport: Of the registry.
        default: The address so far, for registries that name it once.

    Raises:
        Lost: The registry names none.
    """
    location = answer.headers.get("location") or default
    if not location:
        raise Lost(
            "the registry began an upload without saying where",
            owner=transport.host,
            next=AGAIN,
        )
    return transport.url(location)


def end_of(answer: Answer) -> int | None:
    """Return the last byte that a session has, None when the registry does not say."""
    found = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("range", "").strip())
    return int(found[1]) if found else None
