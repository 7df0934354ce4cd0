"""What uploader-merged registers. Light: nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import CardFacts, ConvertSpec, Diagnosis, DocumentSpec, hookimpl
from uploader_lora.loads import ADAPTER, MODEL
from uploader_merged.settings import (
    Merged4Settings,
    Merged16Settings,
    OpenSettings,
    ServingLossySettings,
)


@hookimpl
def uploader_converters() -> Iterable[ConvertSpec]:
    yield ConvertSpec(
        name="open",
        summary="base and adapter as one checkpoint, merged when it is read",
        consumes=("adapter", "base"),
        produces="checkpoint",
        virtual=True,
        isolation="inline",
        settings=OpenSettings,
        run="uploader_merged.preflight:open_virtual",
    )
    yield ConvertSpec(
        name="open-stack",
        summary="base and several adapters as one checkpoint, merged when it is read",
        consumes=("adapter-stack", "base"),
        produces="checkpoint",
        virtual=True,
        isolation="inline",
        settings=OpenSettings,
        run="uploader_merged.preflight:open_stack",
    )
    yield ConvertSpec(
        name="16bit",
        summary="the merged model as safetensors, for transformers, vLLM and others",
        consumes=("checkpoint",),
        produces="merged-16bit",
        card=CardFacts(
            title="Merged model in 16 bit", library_name="transformers", relation="finetune"
        ),
        settings=Merged16Settings,
        run="uploader_merged.sixteen_bit.save:save",
        check="uploader_merged.preflight:check",
        prove="uploader_merged.load_proof:prove",
        estimate="uploader_merged.preflight:estimate",
        use="uploader_merged.card:commands",
        loads=MODEL,
    )
    yield ConvertSpec(
        name="4bit",
        summary="the merged model in 4 bits, for transformers with bitsandbytes",
        consumes=("checkpoint",),
        produces="merged-4bit",
        card=CardFacts(
            title="Merged model in 4 bit",
            library_name="transformers",
            relation="quantized",
            tags=("bitsandbytes",),
        ),
        default=False,
        settings=Merged4Settings,
        run="uploader_merged.four_bit.save:save",
        check="uploader_merged.preflight:check_4bit",
        prove="uploader_merged.load_proof:prove",
        estimate="uploader_merged.preflight:estimate_4bit",
        use="uploader_merged.card:commands",
        loads=MODEL,
    )
    yield ConvertSpec(
        name="serving",
        summary="the adapter with one rank and one alpha, as servers of adapters read it",
        consumes=("adapter",),
        produces="lora-serving",
        card=CardFacts(
            title="LoRA adapter for servers",
            library_name="peft",
            relation="adapter",
            tags=("lora",),
        ),
        default=False,
        run="uploader_merged.serving.save:save",
        check="uploader_merged.serving.save:check",
        estimate="uploader_merged.serving.save:estimate",
        use="uploader_lora.card:commands",
        loads=ADAPTER,
    )
    yield ConvertSpec(
        name="serving-lossy",
        summary="a plain adapter near one with DoRA or whole modules, for servers; measured",
        consumes=("adapter", "base"),
        produces="lora-serving-lossy",
        card=CardFacts(
            title="LoRA adapter for servers, near the trained one",
            library_name="peft",
            relation="adapter",
            tags=("lora",),
        ),
        default=False,
        settings=ServingLossySettings,
        run="uploader_merged.serving.lossy_save:save",
        check="uploader_merged.serving.lossy:check",
        estimate="uploader_merged.serving.lossy:estimate",
        use="uploader_lora.card:commands",
        loads=ADAPTER,
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="merged-use",
        summary="how to load the merged model with transformers",
        section="How to use",
        describes=("merged-16bit", "merged-4bit"),
        order=10,
        isolation="inline",
        run="uploader_merged.card:section",
    )
    yield DocumentSpec(
        name="serving-use",
        summary="how to load and serve the adapter",
        section="How to use",
        describes=("lora-serving",),
        order=10,
        isolation="inline",
        run="uploader_lora.card:section",
    )
    yield DocumentSpec(
        name="serving-lossy-use",
        summary="how to load the adapter, and how near the trained one it is",
        section="How to use",
        describes=("lora-serving-lossy",),
        order=10,
        isolation="inline",
        run="uploader_merged.serving.card:section",
    )


@hookimpl
def uploader_diagnostics(online: bool) -> Iterable[Diagnosis]:
    from uploader_merged.diagnosis import diagnose

    return diagnose()
