"""The conformance kit against submitit's local executor."""

from __future__ import annotations

from uploader_kit import ExecutorConformance


class TestSubmititLocal(ExecutorConformance):
    plugin = "slurm"
    spec = "submitit-local"
