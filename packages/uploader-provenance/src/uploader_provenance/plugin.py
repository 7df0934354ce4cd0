"""Plugin ``provenance``: documents by which anyone can check a release."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import DocumentSpec, hookimpl


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    return ()
