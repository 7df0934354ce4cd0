"""What uploader-compressed registers. Light: nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_compressed.settings import MeasureSettings, Settings
from uploader_core.plugin import CardFacts, ConvertSpec, DocumentSpec, hookimpl
from uploader_lora.loads import MODEL


@hookimpl
def uploader_converters() -> Iterable[ConvertSpec]:
    yield ConvertSpec(
        name="compressed",
        summary="FP8, INT8, INT4, NVFP4, MXFP4 in compressed-tensors, for vLLM and transformers",
        consumes=("checkpoint",),
        produces="compressed",
        variants="uploader_compressed.settings:variants",
        together=True,
        card=CardFacts(
            title="compressed-tensors",
            library_name="transformers",
            relation="quantized",
            tags=("compressed-tensors",),
        ),
        settings=Settings,
        run="uploader_compressed.save:save",
        check="uploader_compressed.preflight:check",
        prove="uploader_compressed.proof:prove",
        estimate="uploader_compressed.preflight:estimate",
        use="uploader_compressed.card:commands",
        loads=MODEL,
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="compressed-use",
        summary="what was quantised, and how to serve it",
        section="How to use",
        describes=("compressed",),
        order=10,
        isolation="inline",
        run="uploader_compressed.card:section",
    )
    yield DocumentSpec(
        name="compressed-fidelity",
        summary="perplexity and divergence from base and adapter, measured with transformers",
        output="fidelity.json",
        describes=("compressed",),
        consumes=("checkpoint",),
        measures=True,
        run="uploader_compressed.fidelity.measure:measure",
        settings=MeasureSettings,
        check="uploader_compressed.fidelity.plan:check",
        estimate="uploader_compressed.fidelity.plan:estimate",
    )
    yield DocumentSpec(
        name="compressed-fidelity-section",
        summary="how near the compressed model is to base and adapter",
        section="Fidelity",
        describes=("compressed",),
        order=25,
        isolation="inline",
        run="uploader_merged.fidelity.card:section",
    )
