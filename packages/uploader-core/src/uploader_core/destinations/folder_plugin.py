"""Core's one built-in plugin: ``dir:`` as destination, and the release's own README."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.hookspecs import hookimpl
from uploader_core.specs import DocumentSpec, Resources, UploadSpec


@hookimpl
def uploader_uploaders() -> Iterable[UploadSpec]:
    yield UploadSpec(
        name="copy",
        summary="a folder on this machine",
        scheme="dir",
        run="uploader_core.destinations.folder:upload",
        check="uploader_core.destinations.folder:check",
        verify="uploader_core.destinations.folder:verify",
        isolation="inline",
        resources=Resources(lane="light"),
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="readme",
        summary="what is in the release folder",
        output="README.md",
        scope="release",
        run="uploader_core.documents:write_readme",
        isolation="inline",
        resources=Resources(lane="light"),
    )
