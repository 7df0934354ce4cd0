#!/usr/bin/env bash
# coverage 7.17.5 with its C tracer, Python 3.11
#
# `patch = ["subprocess"]` measures every Python process that a test starts, and costs there: a command of
# 1.0 s takes 1.3 s, `import transformers, peft` 7.9 s instead of 5.8 s. A process that is ended by SIGKILL
# leaves no data, and nothing says so: the time is spent, and its lines count as never run.
#
# Surprising: a worker that has answered and is then killed, as ours are, had run all of its code.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q 'coverage==7.17.5'
cd "$work"
printf '[run]\nparallel = true\npatch = subprocess\n' > .coveragerc
cat > worker.py <<'PY'
print("answer", flush=True)
input()
PY
cat > start.py <<'PY'
import subprocess
import sys

worker = subprocess.Popen([sys.executable, "worker.py"], stdin=-1, stdout=-1, text=True)
assert worker.stdout.readline() == "answer\n"
if sys.argv[1] == "kill":
    worker.kill()
else:
    worker.stdin.write("\n")
    worker.stdin.close()
worker.wait()
PY
for end in leave kill; do
  rm -f .coverage*[0-9]*
  venv/bin/coverage run start.py "$end"
  venv/bin/coverage combine -q
  measured=$(venv/bin/coverage report | grep -c worker.py || true)
  echo "$end: worker.py is in the report $measured times"
  [ "$measured" = "$([ "$end" = leave ] && echo 1 || echo 0)" ]
done
