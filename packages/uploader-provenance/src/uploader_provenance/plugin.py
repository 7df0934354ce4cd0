"""Plugin ``provenance``: documents by which anyone can check a release."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import DocumentSpec, hookimpl


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="checksums",
        summary="SHA-256 of every file, for sha256sum",
        output="SHA256SUMS",
        scope="place",
        run="uploader_provenance.checksums:write",
        isolation="inline",
        order=80,
    )
