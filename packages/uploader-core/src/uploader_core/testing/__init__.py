"""Where the conformance kit was: it is the distribution ``uploader-kit`` now.

``from uploader_kit import ConvertConformance`` is the import to write; this one stays, and so do
``uploader_core.testing.faults`` and ``uploader_core.testing.fixtures``.
"""

from __future__ import annotations

try:
    from uploader_kit import (
        ConformanceError,
        ConvertConformance,
        Destination,
        DocumentConformance,
        PluginConformance,
        SaveConformance,
        UploadConformance,
    )
except ModuleNotFoundError as error:
    if error.name != "uploader_kit":
        raise
    raise ModuleNotFoundError(
        "the conformance kit is part of uploader-kit, which is not installed: "
        'pip install "uploader-core[testing]"',
        name=error.name,
    ) from None

__all__ = [
    "ConformanceError",
    "ConvertConformance",
    "Destination",
    "DocumentConformance",
    "PluginConformance",
    "SaveConformance",
    "UploadConformance",
]
