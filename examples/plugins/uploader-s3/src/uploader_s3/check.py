"""What can be said before anything runs."""

from __future__ import annotations

from collections.abc import Iterable

from uploader_core.plugin import Finding, PlanContext


def check(context: PlanContext) -> Iterable[Finding]:
    """Ask for the bucket and the right to list it, so that no format is made in vain."""
    bucket, _, _ = (context.target or "").partition("/")
    if not bucket:
        yield Finding(level="error", what="s3: names no bucket", next="--to s3:bucket/folder")
        return
    if context.settings.part_size < 5 << 20:
        yield Finding(
            level="error",
            what=f"S3 takes no parts of {context.settings.part_size:,} bytes",
            next="--s3-part-size 67108864",
        )
        return
    from uploader_s3.store import Store

    Store(bucket, region=context.settings.region).reach()
