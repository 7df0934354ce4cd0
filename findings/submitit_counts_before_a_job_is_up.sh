#!/usr/bin/env bash
# submitit 1.5.4, Python 3.10 or later, on this machine.
#
# The local executor's time limit counts looks, 24 a second, from the moment at which the child was started,
# and not from when the child runs. At the end it sends SIGINT, and SIGKILL a second later. A Python program
# that is still importing when the signal comes has not installed a handler yet: it ends by KeyboardInterrupt
# and can write nothing down. One that has, is killed after a second, however long it needs to tidy up.
#
# Why it surprises: a limit of a second is kept on an idle machine, with a handler that runs; on a busy one
# the same program ends without a word, and whoever waits for what it writes finds nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'submitit==1.5.4'

"$work/venv/bin/python" - "$work" <<'PYTHON'
import shlex
import sys
from pathlib import Path

import submitit

PROGRAM = """
import time
time.sleep({start})  # imports of a busy machine
import signal, sys, pathlib
def end(*_):
    time.sleep({tidy})
    pathlib.Path(sys.argv[1]).write_text("ended")
    sys.exit(1)
signal.signal(signal.SIGINT, end)
time.sleep(60)
"""


def said(name: str, start: float, tidy: float) -> bool:
    folder = Path(sys.argv[1], name)
    executor = submitit.LocalExecutor(folder=folder)
    executor.update_parameters(timeout_min=1 / 60, signal_delay_s=0)
    record = folder / "record"
    code = PROGRAM.format(start=start, tidy=tidy)
    executor._submit_command(shlex.join([sys.executable, "-c", code, str(record)]))._process.wait()
    return record.exists()


for name, start, tidy, written in (("quick", 0, 0, True), ("busy", 3, 0, False), ("long", 0, 3, False)):
    found = said(name, start, tidy)
    print(f"{name}: starts in {start} s, tidies up in {tidy} s, and writes down its end: {found}")
    assert found is written
PYTHON
