"""What uploader-gguf registers. Light: nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import CardFacts, ConvertSpec, Diagnosis, DocumentSpec, hookimpl
from uploader_gguf.settings import GgufSettings, MeasureSettings

_LOADS = ("*.gguf", "template", "system", "params")
"""llama.cpp takes the file whose name has the quantisation that is asked for, and any projector.
Ollama reads the other three next to it, from the Hub."""


@hookimpl
def uploader_converters() -> Iterable[ConvertSpec]:
    yield ConvertSpec(
        name="gguf",
        summary="GGUF for llama.cpp and Ollama, all quantisations in one pass",
        consumes=("checkpoint",),
        produces="gguf",
        card=CardFacts(
            title="GGUF for llama.cpp and Ollama",
            library_name="gguf",
            relation="quantized",
            tags=("gguf",),
        ),
        run="uploader_gguf.step:convert",
        settings=GgufSettings,
        check="uploader_gguf.preflight:check",
        prove="uploader_merged.load_proof:prove",
        estimate="uploader_gguf.preflight:estimate",
        use="uploader_gguf.card:commands",
        loads=_LOADS,
    )
    yield ConvertSpec(
        name="gguf-lora",
        summary="the adapter itself as GGUF, for llama.cpp's --lora and Ollama's ADAPTER",
        consumes=("adapter", "base"),
        produces="gguf-lora",
        card=CardFacts(title="LoRA adapter as GGUF", relation="adapter", tags=("lora", "gguf")),
        default=False,
        run="uploader_gguf.lora:convert",
        settings=GgufSettings,
        check="uploader_gguf.lora:check",
        estimate="uploader_gguf.lora:estimate",
        loads=("*.gguf",),
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="gguf-files",
        summary="the quantisations and how to run them",
        section="Files",
        describes=("gguf",),
        order=20,
        isolation="inline",
        run="uploader_gguf.card:section",
    )
    yield DocumentSpec(
        name="fidelity",
        summary="perplexity and divergence from base and adapter, measured with llama.cpp",
        output="fidelity.json",
        describes=("gguf", "merged-4bit"),
        consumes=("checkpoint",),
        measures=True,
        run="uploader_gguf.fidelity.measure:measure",
        settings=MeasureSettings,
        check="uploader_gguf.fidelity.plan:check",
        estimate="uploader_gguf.fidelity.plan:estimate",
    )
    yield DocumentSpec(
        name="fidelity-section",
        summary="how near the 4-bit model is to base and adapter",
        section="Fidelity",
        describes=("merged-4bit",),
        order=25,
        isolation="inline",
        run="uploader_merged.fidelity.card:section",
    )


@hookimpl
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    from uploader_gguf.diagnosis import diagnose

    return diagnose()
