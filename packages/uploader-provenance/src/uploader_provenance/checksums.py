"""``SHA256SUMS``: for people who have none of our tools."""

from __future__ import annotations

from uploader_core.plugin import Artifact, StepContext


def write(context: StepContext) -> Artifact:
    """List every file of a place as ``sha256sum --check`` reads it; nothing is read again.

    Args:
        context: Of the place.
    """
    lines = [
        f"{file.sha256} *{file.name}\n" for file in sorted(context.files, key=lambda f: f.name)
    ]
    with context.output.create("SHA256SUMS", role="document") as stream:
        stream.write("".join(lines).encode("utf-8"))
    return context.artifact()
