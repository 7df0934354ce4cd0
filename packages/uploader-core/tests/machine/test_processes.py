"""What a process and those that it started do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil

from uploader_core.machine.processes import activity
from uploader_kit.job_runs import until


def test_what_a_child_of_a_worker_does_counts(tmp_path: Path) -> None:
    busy = "import time\nwhile time.monotonic(): sum(range(10_000))"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])"
    worker = subprocess.Popen([sys.executable, "-c", code], start_new_session=os.name != "nt")
    try:
        until(lambda: (activity(worker.pid) or (0, 0))[0] > 1, 120, "its child computes nothing")
        assert activity(2**22 + 1) is None  # no process has such a number
    finally:
        children = psutil.Process(worker.pid).children(recursive=True)
        for process in (worker, *children):
            process.kill()
        worker.wait()
