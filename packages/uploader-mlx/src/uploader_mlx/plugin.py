"""What uploader-mlx registers. Light: nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import (
    CardFacts,
    ConvertSpec,
    Diagnosis,
    DocumentSpec,
    ReaderSpec,
    SourceSpec,
    hookimpl,
)
from uploader_lora.loads import ADAPTER, MODEL
from uploader_mlx.settings import MeasureSettings, QuantSettings, Settings


@hookimpl
def uploader_converters() -> Iterable[ConvertSpec]:
    yield ConvertSpec(
        name="mlx",
        summary="the model for MLX on Macs, in 16 bits",
        consumes=("checkpoint",),
        produces="mlx",
        together=True,
        card=CardFacts(title="MLX", library_name="mlx", relation="finetune", tags=("mlx",)),
        settings=Settings,
        run="uploader_mlx.save:save",
        check="uploader_mlx.preflight:check",
        estimate="uploader_mlx.preflight:estimate",
        use="uploader_mlx.card:commands",
        loads=MODEL,
    )
    yield ConvertSpec(
        name="quantised",
        summary="the model for MLX on Macs in 2 to 8 bits, MXFP4, MXFP8, NVFP4",
        consumes=("checkpoint",),
        produces="mlx-quantised",
        default=False,
        variants="uploader_mlx.settings:variants",
        together=True,
        card=CardFacts(title="MLX", library_name="mlx", relation="quantized", tags=("mlx",)),
        settings=QuantSettings,
        run="uploader_mlx.save:save",
        check="uploader_mlx.preflight:check",
        estimate="uploader_mlx.preflight:estimate",
        use="uploader_mlx.card:commands",
        loads=MODEL,
    )
    yield ConvertSpec(
        name="lora",
        summary="the adapter as mlx-lm loads it beside the base model",
        consumes=("adapter", "base"),
        produces="mlx-lora",
        default=False,
        card=CardFacts(
            title="MLX adapter", library_name="mlx", relation="adapter", tags=("mlx", "lora")
        ),
        run="uploader_mlx.adapter.save:save",
        check="uploader_mlx.adapter.save:check",
        estimate="uploader_mlx.adapter.save:estimate",
        use="uploader_mlx.adapter.card:commands",
        loads=(*ADAPTER, "adapters.safetensors"),
    )


@hookimpl
def uploader_source_readers() -> Iterable[ReaderSpec]:
    yield ReaderSpec(
        name="mlx-adapter",
        summary="an adapter of mlx-lm, read as the PEFT adapter that does the same",
        kinds=("adapter", "base"),
        run="uploader_mlx.source.read:read",
    )


@hookimpl
def uploader_sources() -> Iterable[SourceSpec]:
    # The reader asks for it: a plan's own process writes nothing.
    yield SourceSpec(
        name="mlx-adapter",
        summary="the PEFT adapter that an adapter of mlx-lm is",
        matches=r"mlx-adapter:.+",
        run="uploader_mlx.source.fetch:fetch",
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="mlx-use",
        summary="how to run the model with MLX",
        section="How to use",
        describes=("mlx", "mlx-quantised"),
        order=10,
        isolation="inline",
        run="uploader_mlx.card:section",
    )
    yield DocumentSpec(
        name="mlx-fidelity",
        summary="perplexity and divergence from base and adapter, measured with mlx-lm",
        output="fidelity.json",
        describes=("mlx", "mlx-quantised"),
        consumes=("checkpoint",),
        measures=True,
        run="uploader_mlx.fidelity.measure:measure",
        settings=MeasureSettings,
        check="uploader_mlx.fidelity.plan:check",
        estimate="uploader_mlx.fidelity.plan:estimate",
    )
    yield DocumentSpec(
        name="mlx-fidelity-section",
        summary="how near the model of MLX is to base and adapter",
        section="Fidelity",
        describes=("mlx", "mlx-quantised"),
        order=25,
        isolation="inline",
        run="uploader_merged.fidelity.card:section",
    )
    yield DocumentSpec(
        name="mlx-lora-use",
        summary="how to run base and adapter with MLX",
        section="How to use",
        describes=("mlx-lora",),
        order=10,
        isolation="inline",
        run="uploader_mlx.adapter.card:section",
    )


@hookimpl
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    from uploader_mlx.diagnosis import diagnose

    return diagnose()
