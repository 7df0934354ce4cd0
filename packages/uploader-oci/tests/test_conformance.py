"""uploader-oci on the conformance kit, against docker-registry with a password."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from oci_tools import files_of, put_another
from uploader_kit import Destination, UploadConformance
from uploader_oci.loopback import HOW_TO_GET, is_available, loopback_registry

REPOSITORY, TAG = "me/tiny", "v1"


@pytest.mark.skipif(not is_available(), reason=HOW_TO_GET)
class TestPush(UploadConformance):
    plugin = "oci"
    settings = {"chunk": "512KiB"}

    @contextlib.contextmanager
    def destination(self) -> Iterator[Destination]:
        with loopback_registry(auth="basic") as server:
            yield Destination(
                target=f"{server.host}/{REPOSITORY}:{TAG}",
                listing=lambda: files_of(server, REPOSITORY, TAG),
                environment=server.environment,
                url=server.url,
                url_variable="OCI_ENDPOINT",
                damage=lambda name: put_another(server, REPOSITORY, TAG, name),
                open_sessions=lambda: server.sessions(REPOSITORY),
            )
