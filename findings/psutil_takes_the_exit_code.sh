#!/usr/bin/env bash
# psutil==7.2.2 on Linux
#
# psutil.wait_procs() on the process of a subprocess.Popen takes its exit code from the system, and
# Popen.wait() says 0 afterwards, for a child that was ended by SIGTERM or that returned 3.
#
# Surprising because 0 is success: Popen documents that it gives 0 where somebody else waited for the child
# (it sees ECHILD), and nothing in psutil's name says that it is that somebody.
set -euo pipefail
[ "$(uname -s)" = Linux ] || { echo "needs Linux"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q psutil==7.2.2
"$folder/venv/bin/python" - <<'PY'
import subprocess, sys
import psutil

child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
(known,), _ = psutil.wait_procs([psutil.Process(child.pid)], timeout=30)
code = child.wait()
print(f"psutil says {known.returncode}, Popen says {code}")
assert (known.returncode, code) == (3, 0)
PY
