"""uploader-compressed on core's conformance kit."""

from __future__ import annotations

import pytest

from uploader_kit import ConvertConformance, DocumentConformance


class TestCompressed(ConvertConformance):
    plugin = "compressed"
    # Two schemes for what is made in one call, and several files, so that resuming has work.
    settings = {"kinds": "fp8-dynamic,mxfp4", "shard_size": "100000"}


@pytest.mark.slow
class TestSection(DocumentConformance):
    plugin = "compressed"
    spec = "compressed-use"
    settings = {"kinds": "fp8-dynamic"}


@pytest.mark.slow
class TestFidelity(DocumentConformance):
    plugin = "compressed"
    spec = "compressed-fidelity"
    settings = {"kinds": "fp8-dynamic"}
