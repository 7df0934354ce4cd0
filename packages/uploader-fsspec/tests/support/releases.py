"""A release, and the next one, which has another file of weights."""

from __future__ import annotations

from collections.abc import Mapping

ONE: Mapping[str, bytes] = {
    "x/model.safetensors": b"one" * 1000, "x/config.json": b"{}", "README.md": b"# one",
}  # fmt: skip
TWO: Mapping[str, bytes] = {
    "x/model-1.safetensors": b"two" * 1000, "x/config.json": b"{}", "README.md": b"# two",
}  # fmt: skip
