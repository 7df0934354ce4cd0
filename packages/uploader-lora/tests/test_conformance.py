"""uploader-lora on core's conformance kit."""

from __future__ import annotations

from uploader_kit import DocumentConformance, SaveConformance


class TestSave(SaveConformance):
    plugin = "lora"


class TestSection(DocumentConformance):
    plugin = "lora"
