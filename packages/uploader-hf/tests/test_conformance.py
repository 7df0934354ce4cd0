"""uploader-hf on core's conformance kit, against the Hub on this machine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loopback_hub import LoopbackHub
from uploader_kit import Destination, DocumentConformance, UploadConformance


class TestUpload(UploadConformance):
    plugin = "hf"

    @contextlib.contextmanager
    def destination(self) -> Iterator[Destination]:
        with tempfile.TemporaryDirectory() as folder, LoopbackHub(Path(folder)) as hub:
            yield Destination(
                target="me/tiny",
                listing=lambda: {
                    name: entry.sha256
                    for name, entry in hub.store.repos["me/tiny"].resolve("main").files.items()
                },
                environment={"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token("me")},
                url=hub.url,
                url_variable="HF_ENDPOINT",
                own=(".gitattributes",),
            )


class TestCard(DocumentConformance):
    plugin = "hf"
