#!/usr/bin/env bash
# distributed==2026.8.0
#
# A worker with memory_limit="256MB" runs a task that starts another program, which takes 600 MB for three
# seconds. The nanny, which ends a worker at 95 % of its limit, does nothing: the task ends with 0.
# It reads the resident size of the worker's own process, and not of what that started
# (worker_memory.py, NannyMemoryManager.memory_monitor).
#
# Surprising because the limit is documented as the worker's, and a worker whose tasks are
# programs has none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q distributed==2026.8.0
cat > "$folder/look.py" <<'PY'
import subprocess, sys
from distributed import Client, LocalCluster

PROGRAM = "import time; held = bytearray(b'x') * 600_000_000; time.sleep(3)"

if __name__ == "__main__":
    with LocalCluster(
        n_workers=1, threads_per_worker=1, memory_limit="256MB", host="127.0.0.1", dashboard_address=":0"
    ) as cluster, Client(cluster) as client:
        before = [*client.scheduler_info()["workers"]]
        code = client.submit(subprocess.call, [sys.executable, "-c", PROGRAM]).result()
        after = [*client.scheduler_info()["workers"]]
        print(f"exit code of the program: {code}, the worker is the same one: {before == after}")
        assert code == 0 and before == after
PY
"$folder/venv/bin/python" "$folder/look.py"
