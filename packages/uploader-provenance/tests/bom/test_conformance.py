"""Bills of materials on uploader's conformance kit."""

from __future__ import annotations

import pytest

from uploader_kit import DocumentConformance


@pytest.fixture(autouse=True)
def taking_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPLOADER_DISABLE")


class TestBill(DocumentConformance):
    plugin = "provenance"
    spec = "ml-bom"


class TestSpdx(DocumentConformance):
    plugin = "provenance"
    spec = "spdx"
