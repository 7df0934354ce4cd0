"""uploader's conformance kit: what every plugin must do."""

from __future__ import annotations

from uploader_core.testing import ConvertConformance, DocumentConformance


class TestFp8(ConvertConformance):
    plugin = "fp8"
    # Several files, so that resuming has something to do.
    settings = {"shard_size": "100000"}


class TestCard(DocumentConformance):
    plugin = "fp8"
