"""uploader-merged on core's conformance kit."""

from __future__ import annotations

import pytest

from uploader_kit import ConvertConformance, DocumentConformance


class Test16Bit(ConvertConformance):
    plugin = "merged"
    spec = "16bit"


@pytest.mark.slow
class Test4Bit(ConvertConformance):
    plugin = "merged"
    spec = "4bit"


@pytest.mark.slow
class TestServing(ConvertConformance):
    plugin = "merged"
    spec = "serving"


@pytest.mark.slow
class TestServingLossy(ConvertConformance):
    plugin = "merged"
    spec = "serving-lossy"


class TestOpen(ConvertConformance):
    plugin = "merged"
    spec = "open"


class TestOpenStack(ConvertConformance):
    plugin = "merged"
    spec = "open-stack"


class TestSection(DocumentConformance):
    plugin = "merged"
    spec = "merged-use"
    kinds = ("merged-16bit",)


class TestServingSection(DocumentConformance):
    plugin = "merged"
    spec = "serving-use"
    kinds = ("lora-serving",)


class TestServingLossySection(DocumentConformance):
    plugin = "merged"
    spec = "serving-lossy-use"
    kinds = ("lora-serving-lossy",)
