"""The conformance kit against submitit's local executor."""

from __future__ import annotations

import os

import pytest

from uploader_kit import ExecutorConformance


@pytest.mark.skipif(os.name == "nt", reason="submitit needs signals of POSIX")
class TestSubmititLocal(ExecutorConformance):
    plugin = "slurm"
    spec = "submitit-local"
    patience = 120.0
    limit = 300.0
