"""Plugin ``hf``: the Hugging Face Hub as destination and source, and the model card."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import (
    Capability,
    Diagnosis,
    DocumentSpec,
    Resources,
    SourceSpec,
    UploadSpec,
    hookimpl,
)
from uploader_hf.hub.identity import SECRETS
from uploader_hf.settings import CardSettings, HubSettings


@hookimpl
def uploader_uploaders() -> Iterable[UploadSpec]:
    yield UploadSpec(
        name="upload",
        summary="the Hugging Face Hub, private unless --hf-public",
        scheme="hf",
        run="uploader_hf.publishing.publish:upload",
        check="uploader_hf.publishing.check:check",
        group="uploader_hf.publishing.names:group",
        verify="uploader_hf.publishing.verify:verify",
        still_there="uploader_hf.publishing.arrival:still_there",
        settings=HubSettings,
        secrets=SECRETS,
        capabilities=(
            "private",
            Capability(name="atomic", note="each repository gets one commit"),
            "revision",
        ),
        resources=Resources(lane="network"),
    )


@hookimpl
def uploader_sources() -> Iterable[SourceSpec]:
    yield SourceSpec(
        name="hub",
        summary="an adapter or model on the Hugging Face Hub",
        matches=r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@\S+)?",
        run="uploader_hf.fetching.source:fetch",
        identify="uploader_hf.fetching.local_copy:identify",
        secrets=SECRETS,
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="card",
        summary="the model card",
        output="README.md",
        run="uploader_hf.model_card.card:write",
        check="uploader_hf.model_card.card:check",
        settings=CardSettings,
        # It computes nothing, so it waits for no merge, and no merge for it.
        resources=Resources(lane="light"),
    )


@hookimpl
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    from uploader_hf.diagnosis import diagnose

    return diagnose(online=online)
