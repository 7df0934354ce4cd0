"""Where the loopback Hub was: it is the distribution ``uploader-loopback-hub`` now.

``from loopback_hub import LoopbackHub`` is the import to write; this one stays.
"""

from __future__ import annotations

try:
    from loopback_hub import Fault, LoopbackHub, Rate, blob_id
except ModuleNotFoundError as error:
    if error.name != "loopback_hub":
        raise
    raise ModuleNotFoundError(
        "the loopback Hub is part of uploader-loopback-hub, which is not installed: "
        'pip install "uploader-hf[test]"',
        name=error.name,
    ) from None

__all__ = ["Fault", "LoopbackHub", "Rate", "blob_id"]
