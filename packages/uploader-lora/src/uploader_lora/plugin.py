"""What uploader-lora registers. Light: nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import CardFacts, DocumentSpec, SaveSpec, hookimpl
from uploader_lora.loads import ADAPTER


@hookimpl
def uploader_savers() -> Iterable[SaveSpec]:
    yield SaveSpec(
        name="lora",
        summary="the adapter as it was trained, byte for byte",
        consumes=("adapter",),
        produces="lora",
        card=CardFacts(
            title="LoRA adapter", library_name="peft", relation="adapter", tags=("lora",)
        ),
        run="uploader_lora.save:save",
        check="uploader_lora.save:check",
        estimate="uploader_lora.save:estimate",
        use="uploader_lora.card:commands",
        loads=ADAPTER,
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    yield DocumentSpec(
        name="lora-use",
        summary="how to load the adapter with peft",
        section="How to use",
        describes=("lora",),
        order=10,
        isolation="inline",
        run="uploader_lora.card:section",
    )
