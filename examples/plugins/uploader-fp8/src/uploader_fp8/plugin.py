"""What uploader-fp8 registers. Light: torch is imported in convert.py, never here."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import ConvertSpec, DocumentSpec, hookimpl
from uploader_fp8.settings import Settings


@hookimpl
def uploader_converters() -> Iterable[ConvertSpec]:
    """Register what this plugin can do."""
    yield ConvertSpec(
        name="fp8",
        summary="FP8 weights with a scale per row, for vLLM and transformers",
        consumes=("checkpoint",),
        produces="compressed-tensors.fp8",
        run="uploader_fp8.convert:convert",
        check="uploader_fp8.preflight:check",
        estimate="uploader_fp8.preflight:estimate",
        settings=Settings,
    )


@hookimpl
def uploader_documenters() -> Iterable[DocumentSpec]:
    """Register the section of the card."""
    yield DocumentSpec(
        name="fp8-use",
        summary="how to serve the FP8 model",
        section="How to use",
        describes=("compressed-tensors.fp8",),
        order=10,
        isolation="inline",
        run="uploader_fp8.card:section",
    )
