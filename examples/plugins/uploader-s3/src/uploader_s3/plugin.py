"""What uploader-s3 registers. Light: s3fs is imported in store.py, never here."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import Resources, UploadSpec, hookimpl
from uploader_s3.settings import Settings


@hookimpl
def uploader_uploaders() -> Iterable[UploadSpec]:
    """Register what this plugin can do."""
    yield UploadSpec(
        name="upload",
        summary="a bucket of S3 or of anything that speaks its protocol",
        scheme="s3",
        run="uploader_s3.upload:upload",
        check="uploader_s3.check:check",
        settings=Settings,
        secrets=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        resources=Resources(lane="network"),
    )
