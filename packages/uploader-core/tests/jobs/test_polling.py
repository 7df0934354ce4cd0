"""What becomes of jobs when the run is stopped."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from uploader_core.builtin.local_executor import LocalExecutor
from uploader_core.executor import Job
from uploader_core.jobs.polling import Poller
from uploader_kit.job_runs import until


def test_job_that_was_submitted_while_the_others_were_ended_is_ended(tmp_path: Path) -> None:
    for_ever = (sys.executable, "-c", "import signal; signal.pause()")
    job = Job(key="k", name="n", folder=tmp_path, argv=for_ever, environment=os.environ)
    executor = LocalExecutor(1)
    poller = Poller(executor)
    job_id = executor.submit(job)
    poller.cancel()
    with poller.watched(job_id) as watched:
        until(lambda: watched.wait().state == "failed", 60, "it is not ended")
    poller.close()
