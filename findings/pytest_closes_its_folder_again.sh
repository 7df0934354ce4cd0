#!/usr/bin/env bash
# pytest 9.2.0, Python 3.10 or later, Linux or macOS.
#
# A test opens its tmp_path, and the folders above it, for another user (a process of another uid has to
# work in it). Another session of pytest of the same user that starts meanwhile, in another project for
# instance, takes the right away again: it sets /tmp/pytest-of-USER to 0700 before it makes its own folder.
#
# Why it surprises: sessions have numbered folders, pytest-0, pytest-1, and are said not to disturb each
# other. The process of the other user fails in the middle of its work with PermissionError for a file that
# it wrote itself a second ago, and only on machines where two sessions overlap.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet 'pytest==9.2.0'
mkdir "$work/one" "$work/temporary"
cat > "$work/one/test_one.py" <<'PYTHON'
import os
import stat
import subprocess
import sys


def test_one(tmp_path):
    root = tmp_path.parents[1]
    if "AGAIN" in os.environ:
        return
    root.chmod(0o755)
    before = stat.S_IMODE(root.stat().st_mode)
    environment = {**os.environ, "AGAIN": "1"}
    del environment["PYTEST_CURRENT_TEST"]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", __file__], env=environment)
    assert done.returncode == 0
    after = stat.S_IMODE(root.stat().st_mode)
    print(f"\n{root.name}: {before:o} before another session, {after:o} after")
    assert (before, after) == (0o755, 0o700)
PYTHON
TMPDIR="$work/temporary" "$work/venv/bin/python" -m pytest -q -s "$work/one/test_one.py" | grep before
