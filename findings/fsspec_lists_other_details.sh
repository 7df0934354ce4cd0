#!/usr/bin/env bash
# fsspec 2026.9.0, Python 3.
#
# A file in fsspec's memory file system, listed by ls(detail=True) and asked for by info(): "created" is a
# number in the listing, and a datetime with a time zone in info().
#
# Why it surprises: the specification calls both "the same details". Whoever keeps what a listing said, to see
# later by info() whether an object is still the same, finds every object changed. What tells a content
# (ETag, generation) is in both where a store has it; for others info() has to be asked both times.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet fsspec==2026.9.0
"$work/venv/bin/python" - <<'PYTHON'
import fsspec

fs = fsspec.filesystem("memory")
fs.pipe_file("/bucket/x", b"1")
(listed,) = fs.ls("/bucket", detail=True)
asked = fs.info("/bucket/x")
print("ls:  ", listed)
print("info:", asked)
assert listed != asked
PYTHON
