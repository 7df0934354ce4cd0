#!/usr/bin/env bash
# fsspec 2026.9.0, Python 3.
#
# FSSPEC_CACHE=/big/disk in the environment: `import fsspec` warns ("not being a dict"), for every variable
# FSSPEC_NAME is read as the configuration of the protocol "name", and FSSPEC_NAME_KEY as its option "key".
#
# Why it surprises: a program that calls its own variable FSSPEC_CACHE makes every other program warn, and ends
# where warnings are errors. Ours is UPLOADER_FSSPEC_CACHE. FSSPEC_S3_ANON=true, on the other hand, is all that
# it takes to read a public bucket.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet fsspec==2026.9.0
FSSPEC_CACHE=/big/disk "$work/venv/bin/python" -c "import fsspec" 2>&1 | grep "Ignoring environment variable FSSPEC_CACHE"
FSSPEC_S3_ANON=true "$work/venv/bin/python" -c "import fsspec; print(fsspec.config.conf)"
