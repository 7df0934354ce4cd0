"""``SHA256SUMS``: digests of everything at a place, for ``sha256sum -c``."""

from __future__ import annotations

from collections.abc import Mapping

from uploader_core.plugin import Artifact, StepContext

NAME = "SHA256SUMS"


def write(context: StepContext) -> Artifact:
    """Write the digests of ``context.files``, which are known already."""
    digests = {file.name: file.sha256 for file in context.files}
    context.output.write(NAME, checksums_of(digests), role="document")
    return context.artifact()


def checksums_of(digests: Mapping[str, str]) -> str:
    """Return the text of a ``SHA256SUMS``, for sha256 by name."""
    return "".join(_line(name, digests[name]) for name in sorted(digests))


def _line(name: str, digest: str) -> str:
    # As GNU's own tool writes what would break a line in two.
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n"
