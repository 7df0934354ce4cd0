"""Weights of full length with only their header in them, as a plan needs them.

A safetensors file begins with the length of its header (8 bytes, little-endian) and the header.
"""

from __future__ import annotations

from pathlib import Path

from uploader_oci.fetching.contents import Part
from uploader_oci.registry.client import Registry

FIRST = 128 << 10
"""Bytes asked for at once: enough for the header of most files."""

_LARGEST_HEADER = 100_000_000
"""As the safetensors library has it."""


def write_outline(registry: Registry, part: Part, path: Path) -> None:
    """Write a file of the length of one in a registry, with its header; the rest is a hole."""
    start = registry.read_range(part.digest, 0, min(FIRST, part.size))
    end = 8 + int.from_bytes(start[:8], "little")
    if len(start) < end <= min(part.size, _LARGEST_HEADER):
        start += registry.read_range(part.digest, len(start), end)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(start[:end])
        file.truncate(part.size)
