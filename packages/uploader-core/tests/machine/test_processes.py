"""What a process and those that it started do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from uploader_core.machine.processes import activity


def test_what_a_child_of_a_worker_does_counts(tmp_path: Path) -> None:
    busy = "import time\nwhile time.monotonic(): sum(range(10_000))"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])"
    worker = subprocess.Popen([sys.executable, "-c", code], start_new_session=os.name != "nt")
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = activity(worker.pid)
            if found is not None and found[0] > 1:
                break
            time.sleep(0.1)
        assert found is not None and found[0] > 1
        assert activity(2**22 + 1) is None  # no process has such a number
    finally:
        children = psutil.Process(worker.pid).children(recursive=True)
        for process in (worker, *children):
            process.kill()
        worker.wait()
