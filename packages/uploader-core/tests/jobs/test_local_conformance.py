"""Core's own executor on the conformance kit."""

from __future__ import annotations

from uploader_kit import ExecutorConformance


class TestLocal(ExecutorConformance):
    plugin = "dir"
    spec = "local"
