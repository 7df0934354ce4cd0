"""uploader-gguf on core's conformance kit."""

from __future__ import annotations

import pytest

from uploader_kit import ConvertConformance, DocumentConformance


class TestGguf(ConvertConformance):
    plugin = "gguf"
    spec = "gguf"
    settings = {"quants": "F16"}


@pytest.mark.slow
class TestGgufLora(ConvertConformance):
    plugin = "gguf"
    spec = "gguf-lora"


@pytest.mark.slow
class TestFidelity(DocumentConformance):
    plugin = "gguf"
    spec = "fidelity"
    kinds = ("gguf",)


@pytest.mark.slow
class TestSection(DocumentConformance):
    plugin = "gguf"
    spec = "gguf-files"
