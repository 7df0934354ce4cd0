"""The conformance kit on the documents of a place, which `uploader plugins check` cannot sign."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from signing_tools import pem_of
from uploader_kit import DocumentConformance


@pytest.fixture(autouse=True)
def taking_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPLOADER_DISABLE")


class TestChecksums(DocumentConformance):
    plugin = "provenance"
    spec = "checksums"


class TestSignature(DocumentConformance):
    plugin = "provenance"
    spec = "signature"
    _keys: ClassVar[Any] = None

    @classmethod
    def setup_class(cls) -> None:
        cls._keys = tempfile.TemporaryDirectory(prefix="uploader-kit-keys-")
        path = Path(cls._keys.name) / "signing.pem"
        path.write_bytes(pem_of(ec.generate_private_key(ec.SECP256R1())))
        cls.settings = {"key": str(path)}
        super().setup_class()

    @classmethod
    def teardown_class(cls) -> None:
        super().teardown_class()
        cls._keys.cleanup()
