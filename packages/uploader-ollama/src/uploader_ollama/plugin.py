"""What uploader-ollama registers. Light: nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import (
    Capability,
    Diagnosis,
    DocumentSpec,
    Resources,
    UploadSpec,
    hookimpl,
)
from uploader_oci.registry.credentials import SECRETS
from uploader_ollama.settings import ModelSettings, RegistrySettings, ServerSettings

_KINDS = ("gguf", "gguf-lora")


@hookimpl
def uploader_uploaders() -> Iterable[UploadSpec]:
    yield UploadSpec(
        name="create",
        summary="a model in a running Ollama",
        scheme="ollama",
        accepts=_KINDS,
        run="uploader_ollama.server.create:upload",
        check="uploader_ollama.server.check:check",
        group="uploader_ollama.model.pieces:group",
        still_there="uploader_ollama.server.arrival:still_there",
        settings=ServerSettings,
        capabilities=(
            Capability(name="private", note="it stays on the machine of that Ollama"),
            Capability(name="resume", degree="partial", note="whole files are not sent again"),
            Capability(
                name="atomic",
                degree="partial",
                note="the plain name is set when all files are there",
            ),
        ),
        resources=Resources(lane="network"),
    )
    yield UploadSpec(
        name="push",
        summary="any OCI registry, as `ollama push` would fill it; no Ollama is needed",
        scheme="ollama-registry",
        accepts=("gguf",),
        run="uploader_ollama.registry.push:upload",
        check="uploader_ollama.registry.check:check",
        group="uploader_ollama.model.pieces:group_for_registry",
        verify="uploader_ollama.registry.verify:verify",
        still_there="uploader_ollama.registry.verify:still_there",
        clean_up="uploader_ollama.registry.verify:clean_up",
        settings=RegistrySettings,
        secrets=SECRETS,
        capabilities=(
            Capability(name="atomic", note="each tag gets one manifest, the plain one last"),
            Capability(
                name="resume", degree="partial", note="as far as the registry keeps a session"
            ),
            "revision",
        ),
        resources=Resources(lane="network"),
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="modelfile",
        summary="what `ollama create` and `ollama run hf.co/...` make of the GGUF files",
        output="Modelfile",
        describes=("gguf",),
        consumes=("checkpoint",),
        run="uploader_ollama.documents:write",
        settings=ModelSettings,
        resources=Resources(lane="light"),
    )
    yield DocumentSpec(
        name="section",
        summary="how to run the files with Ollama",
        section="Ollama",
        describes=("gguf",),
        order=22,
        isolation="inline",
        run="uploader_ollama.documents:section",
    )


@hookimpl
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    from uploader_ollama.diagnosis import diagnose

    return diagnose(online=online)
