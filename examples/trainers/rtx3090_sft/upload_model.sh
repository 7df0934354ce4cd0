#!/usr/bin/env bash
# Release what this trainer made. Arguments and exit code pass through as they are.
set -euo pipefail

here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"

for python in "${UPLOADER_PYTHON:-}" "${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python}" \
    "${CONDA_PREFIX:+$CONDA_PREFIX/bin/python}" "$here/.venv/bin/python" python3 python; do
    if command -v -- "$python" >/dev/null; then
        exec "$python" "$here/src/upload_to_hf.py" "$@"
    fi
done

echo "there is no Python here; set UPLOADER_PYTHON to the one with uploader-trainers" >&2
exit 8
