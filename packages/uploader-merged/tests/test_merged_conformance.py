"""uploader-merged on core's conformance kit."""

from __future__ import annotations

from uploader_core.testing import ConvertConformance, DocumentConformance


class Test16Bit(ConvertConformance):
    plugin = "merged"
    spec = "16bit"


class TestSection(DocumentConformance):
    plugin = "merged"
    kinds = ("merged-16bit",)
