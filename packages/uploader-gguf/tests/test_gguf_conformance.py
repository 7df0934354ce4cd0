"""uploader-gguf on core's conformance kit."""

from __future__ import annotations

from uploader_core.testing import ConvertConformance


class TestGguf(ConvertConformance):
    plugin = "gguf"
    spec = "gguf"
    settings = {"quants": "F16"}
