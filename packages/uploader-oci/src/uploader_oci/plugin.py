"""Plugin ``oci``: OCI registries as destination and source."""

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
from uploader_oci.registry.credentials import SECRETS
from uploader_oci.settings import Settings


@hookimpl
def uploader_uploaders() -> Iterable[UploadSpec]:
    yield UploadSpec(
        name="push",
        summary="an OCI registry, in CNCF ModelPack form, for runners, clusters and `oras pull`",
        scheme="oci",
        run="uploader_oci.publishing.publish:upload",
        check="uploader_oci.publishing.check:check",
        group="uploader_oci.publishing.names:group",
        verify="uploader_oci.publishing.verify:verify",
        still_there="uploader_oci.publishing.arrival:still_there",
        clean_up="uploader_oci.publishing.publish:clean_up",
        settings=Settings,
        secrets=SECRETS,
        capabilities=(
            Capability(
                name="private",
                degree="partial",
                note="who may read is a setting of the registry, which no client is told",
            ),
            Capability(name="atomic", note="each tag is one manifest"),
            Capability(
                name="resume",
                degree="partial",
                note="files that arrived are not sent again; of one that broke off in the middle, "
                "not every registry knows the part that it has",
            ),
            "revision",
        ),
        resources=Resources(lane="network"),
    )


@hookimpl
def uploader_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="registry",
        summary="an adapter or model in an OCI registry",
        matches=r"oci:\S+",
        run="uploader_oci.fetching.source:fetch",
        secrets=SECRETS,
    )


@hookimpl
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    from uploader_oci.diagnosis import diagnose

    return diagnose(online=online)
