"""Plugin ``fsspec``: buckets and other storage as sources, and behind ``dir:``."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import (
    Capability,
    Diagnosis,
    Resources,
    SourceSpec,
    UploadSpec,
    hookimpl,
)
from uploader_fsspec.settings import Settings
from uploader_fsspec.store.address import SECRETS


@hookimpl
def uploader_uploaders() -> Iterable[UploadSpec]:
    yield UploadSpec(
        name="copy",
        summary="a folder of a bucket, or of other storage that fsspec reaches",
        scheme="dir",
        # Folders of this machine are core's.
        targets=r"(?!file://)[a-z][a-z0-9+.-]+://.+",
        run="uploader_fsspec.publishing.publish:upload",
        check="uploader_fsspec.publishing.check:check",
        verify="uploader_fsspec.publishing.verify:verify",
        still_there="uploader_fsspec.publishing.verify:still_there",
        clean_up="uploader_fsspec.publishing.publish:clean_up",
        settings=Settings,
        secrets=SECRETS,
        capabilities=(
            Capability(
                name="private",
                degree="partial",
                note="who may read is a setting of the bucket, which not every store tells",
            ),
            Capability(
                name="atomic",
                degree="partial",
                note="a bucket has no renames; the manifest is there while all of a release is",
            ),
            Capability(
                name="resume",
                degree="partial",
                note="files that arrived are not sent again; one that broke off is sent once more",
            ),
        ),
        resources=Resources(lane="network"),
    )


@hookimpl
def uploader_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="storage",
        summary="an adapter or model in a bucket, or in other storage that fsspec reaches",
        # A page of the web has no listing.
        matches=r"(?!https?://)[a-z][a-z0-9+.-]+://.+",
        run="uploader_fsspec.fetching.source:fetch",
        secrets=SECRETS,
    )


@hookimpl
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    from uploader_fsspec.diagnosis import diagnose

    return diagnose(online=online)
