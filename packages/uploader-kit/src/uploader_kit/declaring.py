"""Whether a destination can do what its spec declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uploader_core.artifact import UploadFile
from uploader_core.capability import KNOWN, declared
from uploader_core.contract.specs import UploadSpec
from uploader_kit.conformance import expect


def declared_in_full(spec: UploadSpec) -> set[str]:
    """Return the capabilities that a spec declares without a restriction and the kit can try."""
    known = declared(spec.capabilities).values()
    return {c.name for c in known if c.degree == "full"} & KNOWN.keys()


def check_receipt(can: set[str], receipt: Mapping[str, Any]) -> None:
    """Complain of a receipt that does not tell what is declared.

    Args:
        can: What the destination declares.
        receipt: Of an upload that went well.

    Raises:
        ConformanceError: As said.
    """
    expect("private" not in can or receipt["private"] is not None, "it declares private, and "
           "the receipt does not say whether the release is: read it back")  # fmt: skip
    expect("revision" not in can or receipt["revision"], "it declares revision, and the "
           "receipt has none")  # fmt: skip


def check_broken_upload(
    can: set[str], files: Sequence[UploadFile], there: Mapping[str, str], sent: int
) -> None:
    """Complain of an upload that broke off half way.

    Args:
        can: What the destination declares.
        files: That should arrive.
        there: What was seen at the destination when it had broken off.
        sent: Bytes that the next upload sent.

    Raises:
        ConformanceError: Of a release that should be whole or not there, a part was seen, or
            nothing of what had arrived was used.
    """
    seen = sorted(f.name for f in files if f.name in there)
    expect("atomic" not in can or not seen, "it declares atomic, and after an upload that "
           f"broke off {', '.join(seen)} is there")  # fmt: skip
    total = sum(f.size for f in files)
    expect("resume" not in can or sent < total, "it declares resume, and after an upload "
           f"that broke off half way all {total:,} bytes were sent again: send smaller "
           "parts (`settings`), or declare the degree partial or none")  # fmt: skip
