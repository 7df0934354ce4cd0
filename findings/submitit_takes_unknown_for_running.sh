#!/usr/bin/env bash
# submitit 1.5.4, Python 3.10 or later; no Slurm is needed to see it.
#
# How a job of Slurm is, submitit asks `sacct` alone. On a cluster without accounting that fails; submitit logs
# it, knows no state, says UNKNOWN, and counts UNKNOWN as not done. A job that was killed, cancelled or ended
# by its time limit leaves no result, so job.done() is False and job.wait() waits, for ever. squeue, which
# knows such jobs without accounting, is never asked.
#
# Why it surprises: everything works while jobs succeed, because then the file with the result is found. And
# its local executor answers the same question of a command by the exit code of its controller, which is
# always 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'submitit==1.5.4'
mkdir "$work/bin"
printf '#!/bin/sh\necho "Slurm accounting storage is disabled" >&2; exit 1\n' > "$work/bin/sacct"
printf '#!/bin/sh\necho "1|FAILED"\n' > "$work/bin/squeue"
chmod +x "$work"/bin/*

PATH="$work/bin:$PATH" "$work/venv/bin/python" - "$work" <<'PYTHON'
import logging
import shlex
import sys

import submitit
from submitit.slurm.slurm import SlurmJob

logging.disable()
job = SlurmJob(folder=sys.argv[1], job_id="1", tasks=[0])
print("a job that failed, as squeue would say; state:", job.state, "- done:", job.done(force_check=True))
assert job.state == "UNKNOWN"
assert not job.done(force_check=True)

local = submitit.LocalExecutor(folder=sys.argv[1])
failing = local._submit_command(shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
code = failing._process.wait()
print("a command that exits with 3, in the local executor; its controller:", code, "- state:", failing.state)
assert code == 0
assert failing.state == "FINISHED"
PYTHON
